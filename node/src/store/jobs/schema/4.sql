-- What a job's guest says it has come to, as JSON.
ALTER TABLE jobs ADD COLUMN result TEXT;
