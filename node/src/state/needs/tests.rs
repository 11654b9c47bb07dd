use super::*;

fn needs(text: &str) -> Needs {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_word_is_read_and_comes_back_as_it_would_be_typed() {
    let all = needs("cpu=2, mem=4GiB ,os=Darwin,arch=arm64,gpu,tag=Fast,tag=attic");
    assert_eq!((all.cores, all.memory_bytes, all.gpus), (2, 4 << 30, 1));
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
        ("gpu=0", "\"0\" does not fit gpu=; a number of graphics processors from 1 to 16"),
        ("gpu=17", "from 1 to 16"),
        ("gpu=", "does not fit gpu="),
        ("gpu-memory", "\"\" does not fit gpu-memory=; a size would, such as 512M"),
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

#[test]
fn graphics_processors_are_counted_and_their_memory_asks_for_one() {
    for (text, again) in [
        ("gpu=1", "gpu"),
        ("gpu,gpu=2,gpu", "gpu=2"),
        ("gpu-memory=8GiB", "gpu,gpu-memory=8G"),
        ("gpu=16,gpu-mem=512M,gpu-memory=1G", "gpu=16,gpu-memory=1G"),
    ] {
        assert_eq!(needs(text).to_string(), again, "{text}");
        let bytes = rmp_serde::to_vec_named(&needs(text)).unwrap();
        assert_eq!(rmp_serde::from_slice::<Needs>(&bytes).unwrap(), needs(text), "{text}");
    }
}

#[test]
fn one_graphics_processor_is_written_as_before_and_too_many_are_refused() {
    #[derive(Serialize)]
    struct Written<T> {
        gpu: T,
    }
    let read = |bytes: Vec<u8>| rmp_serde::from_slice::<Needs>(&bytes).map(|needs| needs.gpus);
    assert_eq!(read(rmp_serde::to_vec_named(&Written { gpu: true }).unwrap()).unwrap(), 1);
    assert_eq!(read(rmp_serde::to_vec_named(&Written { gpu: false }).unwrap()).unwrap(), 0);
    assert_eq!(read(rmp_serde::to_vec_named(&Written { gpu: 3 }).unwrap()).unwrap(), 3);
    assert!(read(rmp_serde::to_vec_named(&Written { gpu: 17 }).unwrap()).is_err());
    assert!(read(rmp_serde::to_vec_named(&Written { gpu: "all" }).unwrap()).is_err());
    let one = rmp_serde::to_vec_named(&needs("gpu")).unwrap();
    assert!(
        one.windows(5).any(|window| window == b"\xa3gpu\xc3") && !one.windows(10).any(|window| window == b"gpu_memory")
    );
}
