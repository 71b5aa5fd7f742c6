//! Policies that decide in this process.
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use regorus::Engine;
use regorus::utils::limits::ExecutionTimerConfig;
use serde_json::{Map, Value};

#[cfg(feature = "tracing")]
use super::OpaPlugin;
use super::{calls, chains};
#[cfg(feature = "tracing")]
use crate::plugin::Plugin as _;

/// What messages call the text.
pub(super) const SOURCE: &str = "rego";
const ALLOW: &str = "allow";
/// What is asked of a package beside [`ALLOW`]: of one that allows the first alone, as nothing else counts then.
const TOLD: [&str; 3] = ["headers", "reason", "status_code"];
/// For a rule when the package is compiled, which is part of the first evaluation.
pub(super) const AT_LOAD: Duration = Duration::from_secs(10);
/// A decision that takes more is long: a worker serves nobody else meanwhile.
const LONG: Duration = Duration::from_millis(1);
/// Short decisions in a row after which a worker makes them again.
const AGAIN: u32 = 1000;
/// Steps of an evaluation between two looks at the clock.
const LOOK: NonZeroU32 = NonZeroU32::MIN.saturating_add(63);

/// A package, compiled.
pub(super) struct Rego {
    engine: Engine,
    /// The path of `allow`.
    allow: String,
    /// Those of [`TOLD`] that the package has, by their paths.
    told: Vec<(&'static str, String)>,
    /// For everything that a request is asked.
    limit: Duration,
    /// Decisions that are still to be made beside the workers.
    apart: AtomicU32,
}

impl Rego {
    /// Compiles a text, with the document `data` beside it; a decision takes no longer than `limit`.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub(super) fn compile(text: &str, data: Map<String, Value>, limit: Duration) -> Result<Self, String> {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(false);
        // else they are written to standard error, where the request is served
        engine.set_gather_prints(true);
        engine.add_policy(SOURCE.to_owned(), text.to_owned()).map_err(|error| error.to_string())?;
        let package = package(&engine)?;
        chains::judge(text)?;
        calls::judge(text, &package)?;
        engine.add_data(Value::Object(data).into()).map_err(|error| error.to_string())?;
        engine.set_input(regorus::Value::new_object());
        let mut rule = |name: &str| match engine.has_declared_rule_rooted_at(SOURCE, name) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let path = format!("{package}.{name}");
                // compiles the package, too, once for all clones of the engine
                evaluated(&mut engine, &path, AT_LOAD).map(|_| Some(path))
            }
            Err(error) => Err(error.to_string()),
        };
        let allow = rule(ALLOW)?.ok_or("has no rule `allow`")?;
        let mut told = Vec::new();
        for name in TOLD {
            told.extend(rule(name)?.map(|path| (name, path)));
        }
        engine.take_prints().map_err(|error| error.to_string())?;
        Ok(Self { engine, allow, told, limit, apart: AtomicU32::new(0) })
    }

    /// Whether one of the last decisions took long, so that the next one should not be made where requests are served: what
    /// takes long for some requests would hold up all others.
    pub(super) fn is_slow(&self) -> bool {
        self.apart.load(Relaxed) > 0
    }

    /// What the package says about a request.
    ///
    /// # Errors
    /// An evaluation that failed or took too long.
    pub(super) fn decide(&self, input: Value) -> Result<Map<String, Value>, String> {
        let began = Instant::now();
        let decision = self.decided(input, began);
        if began.elapsed() > LONG {
            self.apart.store(AGAIN, Relaxed);
        } else if self.is_slow() {
            // one more or less does not matter
            let _ = self.apart.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        }
        decision
    }

    fn decided(&self, input: Value, began: Instant) -> Result<Map<String, Value>, String> {
        // an engine keeps what it works out; a clone shares the compiled package and the data
        let mut engine = self.engine.clone();
        engine.set_input(input.into());
        let mut value = |path: &str| {
            let value = evaluated(&mut engine, path, self.limit.saturating_sub(began.elapsed()));
            for print in engine.take_prints().unwrap_or_default() {
                #[cfg(feature = "tracing")]
                tracing::debug!(plugin = OpaPlugin::NAME, print, "the policy prints");
                let _ = print;
            }
            value
        };
        let mut decision = Map::new();
        let allow = value(&self.allow)?;
        let allows = allow == regorus::Value::from(true);
        let told = self.told.iter().filter(|(name, _)| !allows || *name == "headers");
        let mut all = vec![(ALLOW, allow)];
        for (name, path) in told {
            all.push((name, value(path)?));
        }
        for (name, value) in all.into_iter().filter(|(_, value)| *value != regorus::Value::Undefined) {
            decision.insert(name.to_owned(), serde_json::to_value(&value).map_err(|error| error.to_string())?);
        }
        Ok(decision)
    }
}

/// The path of the one package of an engine, as rules of it are named.
fn package(engine: &Engine) -> Result<String, String> {
    let packages = engine.get_policy_package_components().map_err(|error| error.to_string())?;
    let components = packages.into_iter().flat_map(|package| package.components);
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Ok(components.fold("data".to_owned(), |path, name| match is_word(&name) {
        true => format!("{path}.{name}"),
        false => format!("{path}[{}]", Value::from(name)),
    }))
}

/// The value of a rule, if it takes no longer than that.
pub(super) fn evaluated(engine: &mut Engine, path: &str, limit: Duration) -> Result<regorus::Value, String> {
    engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: LOOK });
    engine.eval_rule(path.to_owned()).map_err(|error| error.to_string())
}

impl fmt::Debug for Rego {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rego({})", self.allow)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POLICY: &str = "
        package shop.orders
        import rego.v1
        default allow := false
        allow if { input.request.method == \"GET\"; input.consumer.labels.tier in data.tiers }
        headers := {\"X-Tier\": input.consumer.labels.tier}
        reason := {\"code\": \"only-gold-reads\"} if not allow
        status_code := 402 if not allow";

    fn compiled(text: &str) -> Result<Rego, String> {
        let data = json!({"tiers": ["gold"]});
        Rego::compile(text, data.as_object().unwrap().clone(), Duration::from_secs(5))
    }

    #[test]
    fn a_package_decides_by_its_rules() {
        let rego = compiled(POLICY).unwrap();
        let ask = |method: &str, tier: &str| {
            let input = json!({"request": {"method": method}, "consumer": {"labels": {"tier": tier}}});
            Value::Object(rego.decide(input).unwrap())
        };
        assert_eq!(ask("GET", "gold"), json!({"allow": true, "headers": {"X-Tier": "gold"}}));
        let refused = json!({"allow": false, "headers": {"X-Tier": "free"}, "status_code": 402,
                             "reason": {"code": "only-gold-reads"}});
        assert_eq!(ask("GET", "free"), refused);
        assert_eq!(ask("GET", "gold")["allow"], json!(true), "nothing is remembered");
        assert_eq!(Value::Object(rego.decide(json!({})).unwrap())["allow"], json!(false));
    }

    #[test]
    fn what_is_no_policy_is_told_with_its_place() {
        for (text, says) in [
            ("package a\nimport rego.v1\nallow if {", "rego:3:"),
            ("allow := true", ""),
            ("package a\nimport rego.v1\ndeny := true", "has no rule `allow`"),
            ("package a\nimport rego.v1\nallow if nobody_knows(1)", ""),
        ] {
            let error = compiled(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_function_that_is_not_there_is_told_however_deep_its_call_is() {
        for (body, says) in [
            ("allow if {\n  input.x == 1\n  nobody(input.x)\n}", "line 4 calls `nobody`"),
            ("allow if input.x\nreason := [time.now_ns() | input.y]", "line 3 calls `time.now_ns`"),
            ("allow := f(1, 2)\nf(a, b) := a + count(b)\ng(x) := f(x, nobody(x))", "line 4 calls `nobody`"),
            ("allow if not helper.of(input)", "line 2 calls `helper.of`"),
            ("allow if data.a.nobody(1)", "line 2 calls `data.a.nobody`"),
            ("allow if input.x == {y | some y in input.z; not nobody (y)} with input.z as [nobody(1)]", "`nobody`"),
        ] {
            let error = compiled(&format!("package a\n{body}")).unwrap_err();
            assert!(error.contains(says), "{body}: {error}");
        }
    }

    #[test]
    fn no_function_goes_round_in_circles() {
        let strip =
            "strip(s) := strip(substring(s, 1, -1)) if startswith(s, \"/\")\nstrip(s) := s if not startswith(s, \"/\")";
        for rules in [strip, "strip(s) := strip(s)"] {
            let error = compiled(&format!("package a\nallow if strip(input.x) == 1\n{rules}")).unwrap_err();
            assert!(error.contains("`strip` that calls itself"), "{rules}: {error}");
        }
    }

    /// Tests have threads of 2 MiB, as workers do.
    #[test]
    fn the_longest_chain_that_is_taken_fits_a_thread() {
        let (open, close) = ("[".repeat(8), "][0]".repeat(8));
        let functions = (1..22).map(|at| format!("f{at}(x) := {open}f{}(x){close}\n", at - 1));
        let policy = format!("package a\nallow if f21(input.x) == 7\nf0(x) := x\n{}", functions.collect::<String>());
        let rego = compiled(&policy).unwrap();
        assert_eq!(rego.decide(json!({"x": 7})).unwrap()["allow"], json!(true));
    }

    #[test]
    fn functions_that_are_there_are_called() {
        let policy = "package a.b[\"c d\"]
            import data.a.b[\"c d\"] as me
            # nobody(1)
            default allow := false
            default g(_) := 3
            allow if { f(1, 2) == 3; me.f(1, 1) == 2; not(g(2) == 1); sprintf(\"%d\", [1]) == \"1\"; print(`nobody(1)`) }
            allow if { startswith(input.x, \"nobody(1)\"); json.marshal(set()) == \"[]\"; data.a.b[\"c d\"].f(1, 2) }
            f(a, b) := a + b
            g(1) := 1
            ok contains x if some x in (input.y) # f(";
        let rego = compiled(policy).unwrap();
        assert_eq!(rego.decide(json!({})).unwrap()["allow"], json!(true));
    }

    #[test]
    fn prints_are_gathered_request_by_request() {
        let rego = compiled("package a\nallow if print(\"asked for\", input.path)").unwrap();
        let mut engine = rego.engine.clone();
        engine.set_input(json!({"path": "/"}).into());
        evaluated(&mut engine, &rego.allow, Duration::from_secs(5)).unwrap();
        assert_eq!(engine.take_prints().unwrap(), ["rego:2: asked for /"], "the load's are gone");
        assert_eq!(rego.decide(json!({"path": "/"})).unwrap()["allow"], json!(true));
    }

    #[test]
    fn an_evaluation_without_end_is_cut() {
        let endless = "package a\nimport rego.v1\nallow if {\n  input.go\n  \
                       count([1 | some a in numbers.range(1, 5000); some b in numbers.range(1, 5000); a * b == 0]) > 0\n}";
        let rego = Rego::compile(endless, Map::new(), Duration::from_millis(20)).unwrap();
        assert!(rego.decide(json!({})).unwrap().is_empty());
        let error = rego.decide(json!({"go": true})).unwrap_err();
        assert!(error.contains("time"), "{error}");
        assert!(rego.is_slow(), "the next ones are not worked out where requests are served");
    }
}
