//! What a map runs: its tasks, each with inputs of its own and a name under which its results lie. Two tasks whose results
//! would lie in one place are refused here, before anything runs.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What a task's stdout is called, after its name.
const OUT: &str = ".out";
/// What its stderr is.
const ERR: &str = ".err";

/// One run of the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// Its results lie below this name.
    pub(super) name: String,
    pub(super) inputs: Vec<PathBuf>,
}

impl Task {
    /// Where its stdout goes.
    pub(super) fn out(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}{OUT}", self.name))
    }

    /// Where its stderr goes, if there is any.
    pub(super) fn err(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}{ERR}", self.name))
    }

    /// Where files go that it made.
    pub(super) fn files(&self, dir: &Path) -> PathBuf {
        dir.join(&self.name)
    }

    /// What the inputs are called where the program runs.
    pub(super) fn input_names(&self) -> impl Iterator<Item = String> {
        self.inputs.iter().map(|input| last_name(input))
    }
}

/// The tasks for these inputs, so many to each. The error is a sentence.
pub(super) fn plan(inputs: Vec<PathBuf>, per_task: usize, dir: &Path) -> Result<Vec<Task>, String> {
    if let Some(nameless) = inputs.iter().find(|input| input.file_name().and_then(|name| name.to_str()).is_none()) {
        return Err(format!("{} has no usable last name to place it by", nameless.display()));
    }
    let mut inputs = inputs.into_iter().peekable();
    let mut tasks = Vec::new();
    while inputs.peek().is_some() {
        let inputs: Vec<PathBuf> = inputs.by_ref().take(per_task.max(1)).collect();
        tasks.push(Task { name: stem(&inputs[0]), inputs });
    }
    tell_apart(&mut tasks);
    check(&tasks, dir)?;
    Ok(tasks)
}

/// Tasks that would have the same name have that of their whole input: `a.csv` and `a.txt` instead of `a`.
fn tell_apart(tasks: &mut [Task]) {
    let mut counts: HashMap<String, u32> = HashMap::new();
    for task in tasks.iter() {
        *counts.entry(task.name.clone()).or_default() += 1;
    }
    for task in tasks.iter_mut().filter(|task| counts[&task.name] > 1) {
        task.name = last_name(&task.inputs[0]);
    }
}

/// No two results lie in one place, and none in that of an input. Two do when the names of their tasks are the same, or when
/// the folder of one is a file of the other.
fn check(tasks: &[Task], dir: &Path) -> Result<(), String> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let dir = absolute(dir);
    let inputs = tasks.iter().flat_map(|task| &task.inputs).map(|input| absolute(input));
    let inputs: HashSet<PathBuf> = inputs.filter(|input| input.parent() == Some(&dir)).collect();
    let mut names: HashMap<&str, &Task> = HashMap::with_capacity(tasks.len());
    for task in tasks {
        if let Some(place) = [task.out(&dir), task.err(&dir)].iter().find(|place| inputs.contains(*place)) {
            return Err(format!(
                "a result would take the place of the input {}; choose another folder with `-o`",
                place.display()
            ));
        }
        if let Some(other) = names.insert(&task.name, task) {
            return Err(in_one_place(task, other));
        }
    }
    for task in tasks {
        let files = [OUT, ERR].into_iter().filter_map(|ending| task.name.strip_suffix(ending));
        if let Some(other) = files.into_iter().find_map(|name| names.get(name)) {
            return Err(in_one_place(task, other));
        }
    }
    Ok(())
}

fn in_one_place(one: &Task, other: &Task) -> String {
    let (one, other) = (one.inputs[0].display(), other.inputs[0].display());
    format!("the results of {one} and {other} would lie in one place; rename one of them")
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn last_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &[&str], per_task: usize) -> Result<Vec<String>, String> {
        let inputs = inputs.iter().map(PathBuf::from).collect();
        Ok(plan(inputs, per_task, Path::new("out"))?.into_iter().map(|task| task.name).collect())
    }

    #[test]
    fn a_task_is_called_after_its_first_input() {
        assert_eq!(names(&["in/a.csv", "b.tar.gz", "c"], 1).unwrap(), ["a", "b.tar", "c"]);
        assert_eq!(names(&["a.csv", "b.csv", "c.csv"], 2).unwrap(), ["a", "c"]);
        assert_eq!(names(&[], 1).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn inputs_that_differ_in_their_ending_are_told_apart_by_it() {
        assert_eq!(names(&["a.csv", "a.txt", "b.txt"], 1).unwrap(), ["a.csv", "a.txt", "b"]);
    }

    #[test]
    fn results_in_one_place_are_refused() {
        assert!(names(&["x/a.csv", "y/a.csv"], 1).unwrap_err().contains("one place"));
        assert!(
            names(&["a", "a.out"], 1).unwrap_err().contains("one place"),
            "the folder of one is a file of the other"
        );
        assert!(names(&["out/a.out"], 1).unwrap_err().contains("place of the input"));
        assert!(names(&["out/a"], 1).is_ok());
        assert!(names(&[".."], 1).is_err());
    }
}
