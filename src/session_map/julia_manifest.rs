//! Another form of session map: the relocations that Julia's GPUCompiler (2.2 and later) keeps beside the code it
//! compiles. A *site* is a word of a global of the object, its *target* a Julia value or the word stored in a named C
//! global of libjulia. Here is decided how each kind of value is made again; the README documents the JSON.

use serde::Deserialize;

use super::expression::Returns;
use super::json::{
    BeforeEntry, BytesForm, Contents, Document, Form, GlobalEntry, Object, Unsigned, ValueEntry, WordEntry,
};

/// The version of the form.
pub(super) const VERSION: u64 = 1;

/// `jl_datatype_t.instance`, the same since Julia 1.0: the fifth pointer.
const INSTANCE: i64 = 4 * 8;

/// The relocations of an object, as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    #[serde(rename = "julia_relocations")]
    version: u64,
    sites: Vec<Object<Site>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Site {
    global: String,
    #[serde(default)]
    offset: Unsigned,
    target: Object<Target>,
}

/// A Julia value or a word of the runtime: one of the first keys, and those that belong to it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Target {
    symbol: Option<String>,
    string: Option<String>,
    path: Option<Vec<String>>,
    binding: Option<Vec<String>>,
    instance: Option<Box<Object<Target>>>,
    tuple: Option<Vec<Object<Target>>>,
    apply: Option<Box<Object<Target>>>,
    parameters: Option<Vec<Object<Target>>>,
    bits: Option<String>,
    of: Option<Box<Object<Target>>>,
    cglobal: Option<String>,
    /// The library that defines it, for whoever links: an object's references name none.
    library: Option<String>,
    offset: Option<i64>,
    value: Option<String>,
}

/// The session map that says the same.
///
/// # Errors
/// Another version, or a target that is none; names the site.
pub(super) fn convert(manifest: Manifest) -> Result<Document, String> {
    if manifest.version != VERSION {
        return Err(format!(
            "julia_relocations: the form is of version {}; this program reads version {VERSION}",
            manifest.version
        ));
    }
    let mut values: Vec<Object<ValueEntry>> = Vec::new();
    let mut globals = Vec::new();
    for (number, Object(site)) in manifest.sites.into_iter().enumerate() {
        let Object(target) = site.target;
        let init = match &target {
            // Of another map.
            Target { value: Some(name), .. } if target.keys() == ["value"] => Form::Value(name.clone()),
            target => {
                let init = form(target).map_err(|message| format!("sites[{number}].target: {message}"))?;
                // The same thing is one value, whichever site names it first.
                let made = values.iter().find(|Object(value)| value.init == init);
                let name = match made {
                    Some(Object(value)) => value.name.clone(),
                    None => {
                        let name = format!("julia:{}+{}", site.global, site.offset.0);
                        let (address, zero) = (None, Unsigned(0));
                        let value = ValueEntry {
                            name: name.clone(),
                            address,
                            size: zero,
                            header: zero,
                            init,
                            align: None,
                            shared: false,
                        };
                        values.push(Object(value));
                        name
                    }
                };
                Form::Value(name)
            }
        };
        globals.push(Object(GlobalEntry { symbol: site.global, offset: site.offset, init }));
    }
    // Nothing may be called before Julia runs and knows the thread, and what is made must not be collected before it
    // is rooted.
    let ready = vec![
        Form::Call {
            function: symbol("jl_is_initialized"),
            arguments: Vec::new(),
            returns: Returns::Int32,
            nullable: false,
        },
        call("jl_get_pgcstack", Vec::new()),
    ];
    let switch = |to: Form| Form::Call {
        function: symbol("jl_gc_enable"),
        arguments: vec![to],
        returns: Returns::Int32,
        nullable: false,
    };
    let before = vec![Object(BeforeEntry { name: Some("gc".to_owned()), init: switch(Form::Int(0)) })];
    let after = vec![switch(Form::Value("gc".to_owned()))];
    Ok(Document::of(values, globals, ready, before, after))
}

impl Target {
    /// The keys that are there, in the order in which they are defined.
    fn keys(&self) -> Vec<&'static str> {
        let keys = [
            ("symbol", self.symbol.is_some()),
            ("string", self.string.is_some()),
            ("path", self.path.is_some()),
            ("binding", self.binding.is_some()),
            ("instance", self.instance.is_some()),
            ("tuple", self.tuple.is_some()),
            ("apply", self.apply.is_some()),
            ("parameters", self.parameters.is_some()),
            ("bits", self.bits.is_some()),
            ("of", self.of.is_some()),
            ("cglobal", self.cglobal.is_some()),
            ("library", self.library.is_some()),
            ("offset", self.offset.is_some()),
            ("value", self.value.is_some()),
        ];
        keys.into_iter().filter(|(_, there)| *there).map(|(key, _)| key).collect()
    }
}

/// How to make a target.
fn form(target: &Target) -> Result<Form, String> {
    Ok(match target {
        Target { symbol: Some(name), .. } if target.keys() == ["symbol"] => jl_symbol(name),
        Target { string: Some(text), .. } if target.keys() == ["string"] => {
            rooted(call("jl_cstr_to_string", vec![Form::String(text.clone())]))
        }
        Target { path: Some(path), .. } if target.keys() == ["path"] => rooted(constant(path)?),
        Target { binding: Some(path), .. } if target.keys() == ["binding"] => match path.as_slice() {
            [modules @ .., name] if !modules.is_empty() => {
                call("jl_get_module_binding", vec![constant(modules)?, jl_symbol(name), Form::Int(1)])
            }
            _ => return Err("binding: expected a module and a name".to_owned()),
        },
        Target { instance: Some(of), .. } if target.keys() == ["instance"] => {
            Form::Load { address: Box::new(form(&of.0)?), offset: INSTANCE, nullable: false }
        }
        Target { tuple: Some(types), .. } if target.keys() == ["tuple"] => {
            let count = Form::Int(types.len() as u64);
            rooted(call("jl_apply_tuple_type_v", vec![array(types)?, count]))
        }
        Target { apply: Some(base), parameters: Some(parameters), .. }
            if target.keys() == ["apply", "parameters"] =>
        {
            let count = Form::Int(parameters.len() as u64);
            rooted(call("jl_apply_type", vec![form(&base.0)?, array(parameters)?, count]))
        }
        Target { bits: Some(bytes), of: Some(of), .. } if target.keys() == ["bits", "of"] => {
            let bytes = BytesForm {
                contents: Contents::Base64(bytes.clone()),
                align: None,
                writable: false,
                words: Vec::new(),
            };
            rooted(call("ijl_new_bits", vec![form(&of.0)?, Form::Bytes(Box::new(bytes))]))
        }
        Target { cglobal: Some(name), offset, .. }
            if matches!(
                target.keys()[..],
                ["cglobal"] | ["cglobal", .., "offset"] | ["cglobal", "library"]
            ) =>
        {
            Form::Load { address: symbol(name), offset: offset.unwrap_or(0), nullable: false }
        }
        Target { value: Some(name), .. } if target.keys() == ["value"] => Form::Value(name.clone()),
        _ => {
            return Err(format!(
                "the keys {:?} are no target: expected one of symbol, string, path, binding, instance, tuple, apply and \
                 parameters, bits and of, cglobal (and library, offset), value",
                target.keys()
            ));
        }
    })
}

/// What a constant holds: the name's path from a module that libjulia has a variable for.
fn constant(path: &[String]) -> Result<Form, String> {
    let (root, names) = path.split_first().ok_or("path: is empty")?;
    let variable = match root.as_str() {
        "Main" => "jl_main_module",
        "Core" => "jl_core_module",
        "Base" => "jl_base_module",
        other => {
            return Err(format!(
                "path: {other:?} is no module that can be reached: expected Main, Core or Base first"
            ));
        }
    };
    let module = Form::Load { address: symbol(variable), offset: 0, nullable: false };
    Ok(names.iter().fold(module, |module, name| call("jl_get_global", vec![module, jl_symbol(name)])))
}

/// The address of an array of values.
fn array(targets: &[Object<Target>]) -> Result<Form, String> {
    let mut words = Vec::new();
    for (number, Object(target)) in targets.iter().enumerate() {
        words.push(Object(WordEntry { offset: Unsigned(8 * number as u64), value: form(target)? }));
    }
    let zeros = vec![0; 8 * targets.len()];
    let contents =
        Contents::Base64(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, zeros));
    Ok(Form::Bytes(Box::new(BytesForm { contents, align: None, writable: false, words })))
}

/// Kept from the collector for good; of equal immutable values one is taken for all.
fn rooted(value: Form) -> Form {
    call("jl_as_global_root", vec![value, Form::Int(1)])
}

fn jl_symbol(name: &str) -> Form {
    call("jl_symbol", vec![Form::String(name.to_owned())])
}

fn call(function: &str, arguments: Vec<Form>) -> Form {
    Form::Call { function: symbol(function), arguments, returns: Returns::Pointer, nullable: false }
}

fn symbol(name: &str) -> Box<Form> {
    Box::new(Form::Symbol { name: name.to_owned(), offset: 0 })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::super::{Files, MapSource, SessionMap};
    use crate::arch::Machine;

    struct None;
    impl Files for None {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn parse(sites: &str) -> Result<SessionMap, String> {
        let text = format!(r#"{{"julia_relocations": 1, "sites": [{sites}]}}"#);
        let source = MapSource { name: "m.json".into(), folder: ".".into(), text: text.as_bytes() };
        SessionMap::parse(&[source], Machine::X86_64, &None).map_err(|error| error.to_string())
    }

    /// What a target becomes, as messages write it.
    fn init(target: &str) -> String {
        let map = parse(&format!(r#"{{"global": "g", "target": {target}}}"#)).unwrap();
        map.values[0].init.text(&map.values)
    }

    #[test]
    fn every_kind_of_target() {
        assert_eq!(init(r#"{"symbol": "foo"}"#), r#"jl_symbol("foo")"#);
        assert_eq!(init(r#"{"string": "x"}"#), r#"jl_as_global_root(jl_cstr_to_string("x"), 1)"#);
        assert_eq!(init(r#"{"path": ["Main"]}"#), "jl_as_global_root(*jl_main_module, 1)");
        let path = r#"jl_as_global_root(jl_get_global(*jl_core_module, jl_symbol("Int64")), 1)"#;
        assert_eq!(init(r#"{"path": ["Core", "Int64"]}"#), path);
        let binding = r#"jl_get_module_binding(*jl_base_module, jl_symbol("x"), 1)"#;
        assert_eq!(init(r#"{"binding": ["Base", "x"]}"#), binding);
        assert_eq!(init(r#"{"instance": {"cglobal": "jl_nothing_type"}}"#), "*(*jl_nothing_type + 32)");
        assert_eq!(init(r#"{"cglobal": "jl_small_typeof", "offset": 64}"#), "*(jl_small_typeof + 64)");
        assert_eq!(init(r#"{"cglobal": "a", "library": "liba", "offset": 8}"#), "*(a + 8)");
        assert_eq!(init(r#"{"cglobal": "a", "library": "liba"}"#), "*a");
        let tuple = "jl_as_global_root(jl_apply_tuple_type_v(<16 bytes>, 2), 1)";
        assert_eq!(init(r#"{"tuple": [{"cglobal": "a"}, {"cglobal": "b"}]}"#), tuple);
        let applied = "jl_as_global_root(jl_apply_type(*jl_ref_type, <8 bytes>, 1), 1)";
        assert_eq!(
            init(r#"{"apply": {"cglobal": "jl_ref_type"}, "parameters": [{"symbol": "s"}]}"#),
            applied
        );
        let bits = "jl_as_global_root(ijl_new_bits(*jl_int64_type, <8 bytes>), 1)";
        assert_eq!(init(r#"{"bits": "AQAAAAAAAAA=", "of": {"cglobal": "jl_int64_type"}}"#), bits);
    }

    #[test]
    fn equal_targets_are_one_value() {
        let map = parse(
            r#"{"global": "a", "target": {"string": "x"}}, {"global": "b", "offset": 8, "target": {"string": "x"}},
               {"global": "c", "target": {"symbol": "x"}}"#,
        )
        .unwrap();
        assert_eq!(map.values.len(), 2);
        assert_eq!(map.globals.iter().map(|g| g.offset).collect::<Vec<_>>(), [0, 8, 0]);
        assert_eq!(map.globals[0].init, map.globals[1].init);
        assert_eq!((map.ready.len(), map.before.len(), map.after.len()), (2, 1, 1));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let error = |target: &str| parse(&format!(r#"{{"global": "g", "target": {target}}}"#)).unwrap_err();
        let refused = "m.json: sites[0].target: ";
        for target in
            [r#"{}"#, r#"{"symbol": "a", "string": "b"}"#, r#"{"bits": "AA=="}"#, r#"{"offset": 1}"#]
        {
            let message = error(target);
            assert!(message.starts_with(refused) && message.contains("are no target"), "{message}");
        }
        assert!(error(r#"{"path": ["Pkg", "x"]}"#).contains("\"Pkg\" is no module that can be reached"));
        assert!(error(r#"{"binding": ["x"]}"#).contains("expected a module and a name"));
        assert!(error(r#"{"symbl": "a"}"#).contains("unknown field `symbl`"));
        assert!(error(r#"{"value": "nobody"}"#).contains("there is no value"));
        let other = br#"{"julia_relocations": 2, "sites": []}"#;
        let source = MapSource { name: "m.json".into(), folder: ".".into(), text: other };
        let message = SessionMap::parse(&[source], Machine::X86_64, &None).unwrap_err().to_string();
        assert!(message.contains("this program reads version 1"), "{message}");
    }
}
