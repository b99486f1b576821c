//! Chat templates: Jinja2 as transformers sets it up, in bounded time, memory
//! and depth. The template is untrusted.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::bounded::{self, Limits};
use crate::{methods, python_json};

/// An instruction costs one unit, and so do 64 bytes of data: a second's work.
const FUEL: u64 = 5_000_000;

/// Longest rendered text.
const OUTPUT_LIMIT: usize = 16 << 20;

/// Longest template: the longest in use have some 30 kB.
const SOURCE_LIMIT: usize = 4 << 20;

/// Frames of calls of macros and blocks.
const RECURSION_LIMIT: usize = 200;

/// Beside the fuel, for what it does not see.
const LIMITS: Limits = Limits {
    bytes: 256 << 20,
    time: Duration::from_secs(5),
};

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_LIMIT {
            let message =
                format!("the result is longer than {OUTPUT_LIMIT} bytes");
            return Err(io::Error::other(message));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `{% generation %}` marks the assistant's text for training masks; for the
/// text itself it is a block that is always rendered.
fn without_generation_marks(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return source.into();
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else {
            break;
        };
        let tag = &rest[start..start + length + 2];
        let word = tag[2..length]
            .trim_matches(|c: char| "-+".contains(c) || c.is_whitespace());
        out.push_str(&rest[..start]);
        match word {
            "generation" => out.push_str(&tag.replace(word, "if true")),
            "endgeneration" => out.push_str(&tag.replace(word, "endif")),
            _ => out.push_str(tag),
        }
        rest = &rest[start + length + 2..];
    }
    out.push_str(rest);
    out.into()
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: String) -> Result<String, Error> {
    let failed = |e: String| Error::new(ErrorKind::InvalidOperation, e);
    // Widths (%1000000Y) would produce text without a bound.
    if format.len() > 256
        || format
            .split(|c: char| !c.is_ascii_digit())
            .any(|run| run.len() > 2)
    {
        return Err(failed("strftime_now: format is too long".into()));
    }
    jiff::fmt::strtime::format(&format, &jiff::Zoned::now())
        .map_err(|e| failed(e.to_string()))
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION_LIMIT);
    env.set_unknown_method_callback(methods::unknown_method);
    env.add_filter("tojson", python_json::tojson);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", strftime_now);
    Ok(env)
}

fn render_here(source: &str, context: &str) -> Result<String, String> {
    let context: serde_json::Value =
        serde_json::from_str(context).map_err(|e| e.to_string())?;
    let source = without_generation_marks(source);
    let text = || -> Result<Vec<u8>, Error> {
        let env = environment()?;
        let template = env.template_from_str(&source)?;
        let mut out = Bounded(Vec::new());
        template.render_captured_to(Value::from(Serde(context)), &mut out)?;
        Ok(out.0)
    };
    let bytes = text().map_err(|e| message(&e))?;
    String::from_utf8(bytes).map_err(|e| e.to_string())
}

/// The error and what led to it, on one line.
fn message(error: &Error) -> String {
    let mut text = format!("{error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub fn render(source: &str, context: &str) -> Result<String, String> {
    if source.len() > SOURCE_LIMIT {
        return Err(format!(
            "the template has {} bytes, the limit is {SOURCE_LIMIT}",
            source.len()
        ));
    }
    let (source, context) = (source.to_string(), context.to_string());
    bounded::run(LIMITS, move || render_here(&source, &context))
}

#[cfg(test)]
mod tests {
    use super::render;

    fn failed(source: &str) -> String {
        render(source, "{}").expect_err(source)
    }

    #[test]
    fn generation_marks_leave_the_text() {
        let source = "a{% generation %}b{% endgeneration %}c{%- generation -%} d {%- endgeneration %}";
        assert_eq!(render(source, "{}").unwrap(), "abcd");
    }

    #[test]
    fn work_is_bounded() {
        for source in [
            "{% for i in range(10**9) %}{% endfor %}",
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            "{{ 'a' * 10**10 }}",
            "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            "{% set a = 'a' * 1000000 %}{{ a.replace('a', a) }}",
            "{% set a = 'a' * 1000000 %}{{ a|replace('a', a) }}",
            "{% set a = 'a' * 1000000 %}{{ a.join(range(99999)) }}",
            "{% set a = 'a' * 1000000 %}{{ range(99999)|join(a) }}",
            "{{ '{:>1000000000}'.format('x') }}",
            "{{ '%1000000000s'|format('x') }}",
            "{{ 'x'|indent(1000000000) }}",
            "{{ 'x\ny'|indent(1000000000) }}",
            "{{ 'x'.center(1000000000) }}",
            "{{ [1]|tojson(indent=1000000000) }}",
            "{{ strftime_now('%1000000000Y') }}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ 10 ** 1000000000 }}",
        ] {
            failed(source);
        }
    }

    #[test]
    fn deep_values_do_not_overflow_the_stack() {
        let deep = "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% for j in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{% endfor %}";
        failed(deep);
        let nest = "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}";
        failed(&format!("{nest}{{{{ ns.x|tojson }}}}"));
        let _ = render(&format!("{nest}{{{{ ns.x }}}}"), "{}");
        let _ = render(&format!("{nest}{{{{ ns.x == [ns.x] }}}}"), "{}");
        let _ = render(&format!("{nest}{{{{ ns.x|string|length }}}}"), "{}");
        let _ = render(
            &format!("{nest}{{{{ [ns.x, ns.x]|unique|list|length }}}}"),
            "{}",
        );
        let _ = render(
            &format!("{nest}{{% set m = {{'a': ns.x}} %}}{{{{ m|length }}}}"),
            "{}",
        );
    }

    #[test]
    fn deep_sources_do_not_overflow_the_stack() {
        failed(&format!(
            "{{{{ {}1{} }}}}",
            "(".repeat(100_000),
            ")".repeat(100_000)
        ));
        let _ = render(&format!("{{{{ {}1 }}}}", "not ".repeat(100_000)), "{}");
        failed(&"{% if true %}".repeat(100_000));
        let _ = render(&format!("{{{{ 1{} }}}}", "+1".repeat(100_000)), "{}");
        let _ = render(&format!("{{{{ x{} }}}}", ".a".repeat(100_000)), "{}");
    }
}
