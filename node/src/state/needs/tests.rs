use super::*;

fn needs(text: &str) -> Needs {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_word_is_read_and_comes_back_as_it_would_be_typed() {
    let all = needs("cpu=2, mem=4GiB ,os=Darwin,arch=arm64,gpu,tag=Fast,tag=attic");
    assert_eq!((all.cores, all.memory_bytes, all.gpu), (2, 4 << 30, true));
    assert_eq!(all.to_string(), "cpu=2,mem=4G,os=macos,arch=aarch64,gpu,tag=attic,tag=fast");
    assert_eq!(needs(&all.to_string()), all);
    assert_eq!(Needs::default().to_string(), "");
}

#[test]
fn sizes_are_read_with_every_unit() {
    for (text, bytes) in [("1", 1), ("7b", 7), ("2k", 2048), ("3MB", 3 << 20), ("5g", 5 << 30), ("1TiB", 1 << 40)] {
        assert_eq!(needs(&format!("mem={text}")).memory_bytes, bytes, "{text}");
    }
}

#[test]
fn needs_given_in_several_flags_add_up_and_the_greater_number_counts() {
    let mut all = needs("cpu=4,tag=a");
    all.add("cpu=2,mem=1G,tag=b,os=linux").unwrap();
    all.add("os=linux").unwrap();
    assert_eq!(all.to_string(), "cpu=4,mem=1G,os=linux,tag=a,tag=b");
}

#[test]
fn errors_name_the_word_and_what_would_fit_and_change_nothing() {
    let many = (0..=TAGS_MAX).map(|n| format!("tag=t{n}")).collect::<Vec<_>>().join(",");
    let cases = [
        ("", "\"\""),
        ("gpu=2", "gpu takes no value"),
        ("ram=4G", "\"ram=4G\" is no need; there are cpu=N"),
        ("cpu", "\"\" does not fit cpu=; a number of cores"),
        ("cpu=0", "\"0\" does not fit cpu="),
        ("cpu=4097", "from 1 to 4096"),
        ("mem=lots", "\"lots\" does not fit mem=; a size would"),
        ("mem=99999999999T", "does not fit mem="),
        ("mem=0", "does not fit mem="),
        ("tag=", "\"\" does not fit tag=; letters"),
        ("tag=a b", "\"a b\" does not fit tag="),
        ("os=linux,os=windows", "given twice, as \"linux\" and as \"windows\""),
        (many.as_str(), "at most 16"),
    ];
    for (text, part) in cases {
        let mut before = needs("cpu=3");
        let error = before.add(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert_eq!(before, needs("cpu=3"), "{text}");
    }
}

#[test]
fn machines_are_named_by_name_or_tag_and_looked_up_by_whoever_knows_them() {
    let list = WhoText::list("attic, tag=Fast").unwrap();
    assert_eq!(list, [WhoText::Machine("attic".into()), WhoText::Tag("fast".parse().unwrap())]);
    let found = list[0].clone().resolve(|name| if name == "attic" { Ok(Place::Here) } else { Err("nobody") });
    assert_eq!(found, Ok(Who::Machine(Place::Here)));
    assert_eq!(WhoText::Machine("barn".into()).resolve(|_| Err::<Place, _>("nobody")), Err("nobody"));
    for (text, part) in [("a,,b", "empty word"), ("os=linux", "no need"), ("tag=?", "does not fit tag=")] {
        let error = WhoText::list(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(WhoText::list(&vec!["x"; WHO_MAX + 1].join(",")).is_err());
}

#[test]
fn requirements_survive_being_written_down() {
    let all = Requirements {
        needs: needs("cpu=2,gpu,tag=x"),
        container: "busybox".parse().ok(),
        on: vec![Place::Here],
        prefer: vec![Who::Tag("fast".parse().unwrap())],
        avoid: vec![Who::Machine(Place::Here)],
    };
    let bytes = rmp_serde::to_vec_named(&all).unwrap();
    assert_eq!(rmp_serde::from_slice::<Requirements>(&bytes).unwrap(), all);
    assert!(rmp_serde::from_slice::<Tag>(&rmp_serde::to_vec("A b").unwrap()).is_err());
}
