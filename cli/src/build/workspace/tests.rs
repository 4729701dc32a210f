//! Which kernel and which tests are meant, over metadata as cargo gives it.

use super::*;
use serde_json::json;

fn package(name: &str, folder: &str, dependency: &str, bins: &[&str]) -> Value {
    let targets: Vec<_> = bins.iter().map(|bin| json!({ "name": bin, "kind": ["bin"] })).collect();
    json!({
        "name": name, "manifest_path": format!("{folder}/Cargo.toml"), "default_run": null,
        "targets": targets, "dependencies": [{ "name": dependency, "kind": null }],
    })
}

fn workspace(packages: &[Value], run: Value) -> Workspace {
    let metadata = json!({
        "packages": packages, "metadata": { "freestone": { "run": run } }, "target_directory": "/t",
    });
    Workspace::from_json(&metadata).expect("well-formed")
}

fn two() -> [Value; 3] {
    [
        package("first", "/w/first", "freestone", &["first"]),
        package("second", "/w/second", "freestone-rt", &["a", "b"]),
        package("tool", "/w", "clap", &["tool"]),
    ]
}

fn bin(name: &str) -> Program {
    Program::Bin(name.into())
}

fn chosen(result: Result<Kernel, Failure>) -> String {
    match result {
        Ok(kernel) => format!("{}/{}", kernel.package, kernel.program.name()),
        Err(failure) => format!("{}: {failure}", failure.status.code()),
    }
}

#[test]
fn the_package_one_stands_in_comes_first() {
    let w = workspace(&two(), json!("second"));
    assert_eq!(chosen(w.kernel(None, None, Path::new("/w/first/src"))), "first/first");
}

#[test]
fn then_what_the_workspace_says() {
    let w = workspace(&two(), json!("first"));
    assert_eq!(chosen(w.kernel(None, None, Path::new("/w"))), "first/first");
    let w = workspace(&two(), json!("gone"));
    let answer = chosen(w.kernel(None, None, Path::new("/w")));
    assert_eq!(answer, "2: no package gone in this workspace; kernels here: first, second");
}

#[test]
fn then_the_only_one_there_is() {
    let w = workspace(&two()[..1], json!(null));
    assert_eq!(chosen(w.kernel(None, None, Path::new("/w"))), "first/first");
    let w = workspace(&two(), json!(null));
    let answer = chosen(w.kernel(None, None, Path::new("/w")));
    assert!(answer.starts_with("2: several kernels here: first, second; choose"), "{answer}");
    assert_eq!(chosen(w.kernel(None, Some(&bin("b")), Path::new("/w"))), "second/b");
}

#[test]
fn a_package_of_no_kernel_is_only_taken_where_it_is_the_only_choice() {
    let here = Path::new("/w");
    let w = workspace(&two()[2..], json!(null));
    assert_eq!(w.default_kernel(None, here).unwrap(), None);
    assert_eq!(chosen(w.kernel(None, None, here)), "tool/tool");
    assert_eq!(chosen(w.kernel(None, None, Path::new("/"))), "tool/tool");
    let other = package("other", "/w/other", "clap", &["other"]);
    let w = workspace(&[two()[2].clone(), other.clone()], json!(null));
    assert_eq!(chosen(w.kernel(None, None, Path::new("/w/other"))), "other/other");
    let answer = chosen(w.kernel(None, None, Path::new("/")));
    assert!(answer.ends_with("several have a binary: tool, other; choose one with -p"), "{answer}");
    // A table of ours makes it one.
    let mut kernel = other;
    kernel["metadata"] = json!({ "freestone": {} });
    let w = workspace(&[two()[2].clone(), kernel], json!(null));
    assert_eq!(chosen(w.kernel(None, None, here)), "other/other");
    let w = workspace(&[package("library", "/w", "freestone", &[])], json!(null));
    assert!(chosen(w.kernel(None, None, here)).starts_with("2: no package here has a binary"));
}

#[test]
fn examples_are_programs_too() {
    let mut library = package("library", "/w/library", "freestone", &[]);
    library["targets"] = json!([
        { "name": "demo", "kind": ["example"], "crate_types": ["bin"] },
        { "name": "part", "kind": ["example"], "crate_types": ["rlib"] },
    ]);
    library["dependencies"][0]["kind"] = json!("dev");
    let w = workspace(&[two()[2].clone(), library], json!(null));
    let here = Path::new("/w");
    let find = |name: &str| chosen(w.kernel(None, Some(&Program::Example(name.into())), here));
    assert_eq!(find("demo"), "library/demo");
    assert_eq!(find("part"), "2: no package here has an example part");
}

#[test]
fn a_package_gets_the_features_it_knows() {
    let mut first = two()[0].clone();
    first["features"] = json!({ "a": [], "b": [] });
    let w = workspace(&[first], json!(null));
    let command = clap::Command::new("x").no_binary_name(true).args(CargoArguments::args());
    let words = ["-F", "a c first/b freestone/x freestone?/y other/z"];
    let all = CargoArguments::from(&command.try_get_matches_from(words).unwrap());
    let mut command = std::process::Command::new("cargo");
    w.arguments_for("first", &all).build(&mut command, false);
    let taken: Vec<_> = command.get_args().filter(|word| *word != "--features").collect();
    assert_eq!(taken, ["a", "first/b", "freestone/x", "freestone?/y"]);
}

#[test]
fn binaries_are_chosen_by_name_by_default_run_or_alone() {
    let w = workspace(&two(), json!(null));
    let here = Path::new("/w");
    assert_eq!(chosen(w.kernel(Some("second"), Some(&bin("b")), here)), "second/b");
    let several = "2: package second has several binaries; choose one with --bin: a, b";
    assert_eq!(chosen(w.kernel(Some("second"), None, here)), several);
    let unknown = "2: package second has no binary c; it has: a, b";
    assert_eq!(chosen(w.kernel(Some("second"), Some(&bin("c")), here)), unknown);
    // A package that was named need not be known as a kernel: its image is checked later.
    assert_eq!(chosen(w.kernel(Some("tool"), None, here)), "tool/tool");
    let mut packages = two();
    packages[1]["default_run"] = json!("b");
    assert_eq!(
        chosen(workspace(&packages, json!(null)).kernel(Some("second"), None, here)),
        "second/b"
    );
}

#[test]
fn dependencies_of_tests_and_build_scripts_make_no_kernel() {
    let mut package = package("host", "/w", "freestone", &["host"]);
    package["dependencies"][0]["kind"] = json!("dev");
    assert!(!Package::from_json(&package).unwrap().is_kernel(None));
}

#[test]
fn kernel_tests_are_those_that_cargo_leaves_alone() {
    let mut host = package("host", "/w", "freestone-harness", &["host"]);
    host["targets"] = json!([
        { "name": "inside", "kind": ["test"], "test": false },
        { "name": "outside", "kind": ["test"], "test": true },
    ]);
    let mut without = host.clone();
    without["name"] = json!("without");
    without["dependencies"] = json!([]);
    let w = workspace(&[host, without], json!(null));
    let found = w.kernel_tests(None).unwrap();
    let inside =
        KernelTests { package: "host".into(), targets: vec!["inside".into()], are_cargos: false };
    assert_eq!(found, [inside]);
    assert_eq!(w.kernel_tests(Some("without")).unwrap(), []);
    assert_eq!(w.kernel_tests(Some("gone")).unwrap_err().status, Status::Usage);
}

#[test]
fn where_cargo_would_test_what_runs_inside_the_rest_is_named() {
    let folder = std::env::temp_dir().join(format!("freestone-mixed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let manifest = folder.join("Cargo.toml");
    let targets = "[[test]]\nname = \"inside\"\nharness = false\n[[test]]\nname = \"host\"\n";
    std::fs::write(&manifest, targets).expect("a file");
    let mut mixed = package("mixed", "/w/mixed", "freestone-harness", &[]);
    mixed["manifest_path"] = json!(manifest);
    mixed["targets"] = json!([
        { "name": "mixed", "kind": ["lib"], "test": true, "doctest": true },
        { "name": "k", "kind": ["example"], "test": false },
        { "name": "inside", "kind": ["test"], "test": true },
        { "name": "host", "kind": ["test"], "test": true },
        { "name": "build-script-build", "kind": ["custom-build"], "test": false },
    ]);
    let other = package("other", "/w/other", "clap", &["o"]);
    let w = workspace(&[mixed.clone(), other], json!(null));
    let words = |package| -> Vec<String> {
        w.host_tests(package).expect("good").iter().map(|words| words.join(" ")).collect()
    };
    let alone = ["-p mixed --lib --test host", "-p mixed --doc"];
    assert_eq!(words(None), [&["--workspace --exclude mixed"], &alone[..]].concat());
    assert_eq!(words(Some("mixed")), alone);
    assert_eq!(words(Some("other")), ["-p other"]);
    let [inside] = &w.kernel_tests(None).unwrap()[..] else { panic!("one package has some") };
    assert!(inside.are_cargos && inside.targets == ["inside"]);
    let mut kernel = mixed.clone();
    kernel["targets"][1]["kind"] = json!(["bin"]);
    let why = workspace(&[kernel], json!(null)).host_tests(None).expect_err("both");
    assert!(why.message.contains("the test host would run on the host"), "{}", why.message);
    // A kernel as `new` makes it: there is nothing else.
    mixed["targets"] = json!([{ "name": "inside", "kind": ["test"], "test": true }]);
    assert!(workspace(&[mixed.clone()], json!(null)).host_tests(None).expect("good").is_empty());
    std::fs::remove_dir_all(folder).expect("it is there");
}

#[test]
fn malformed_metadata_is_no_panic() {
    for metadata in [json!(null), json!({}), json!({ "packages": [{}] }), json!({ "packages": 1 })]
    {
        assert!(Workspace::from_json(&metadata).is_none(), "{metadata}");
    }
}
