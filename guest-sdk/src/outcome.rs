//! What a job comes to, as a value that a machine can read beside its files and its output.

use std::io;

use serde::Serialize;
use serde_json::json;

use crate::job::Job;

/// Gives `value` as the job's result: any JSON value of less than 64 KiB. The last one counts. Larger results are files.
///
/// ```
/// # use serde::Serialize;
/// #[derive(Serialize)]
/// struct Summary { rows: u64, mean: f64 }
///
/// potluck_guest::result(&Summary { rows: 120, mean: 4.2 })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// When the value is no JSON (a map whose keys are no strings), is too long for one event, or cannot be written.
pub fn result(value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    give(Job::of_process(), value)
}

fn give(job: &Job, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    if job.events.is_none() {
        return Ok(());
    }
    job.say(&json!({"result": serde_json::to_value(value)?}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi;
    use crate::job::tests::Scene;
    use std::collections::BTreeMap;

    #[test]
    fn a_result_is_any_value() {
        let scene = Scene::new();
        give(&scene.job, "text").unwrap();
        give(&scene.job, &BTreeMap::from([("mean", 4.5)])).unwrap();
        give(&scene.job, &None::<u8>).unwrap();
        assert_eq!(
            scene.said(),
            [json!({"result": "text"}), json!({"result": {"mean": 4.5}}), json!({"result": null})]
        );
    }

    #[test]
    fn a_result_that_is_too_long_or_no_json_is_refused() {
        let scene = Scene::new();
        assert!(give(&scene.job, &"x".repeat(abi::EVENT_LEN_MAX)).is_err());
        assert!(give(&scene.job, &BTreeMap::from([(vec![1], 2)])).is_err());
        assert!(scene.said().is_empty());
    }
}
