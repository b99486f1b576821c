//! Methods of Python's str, dict and list that chat templates call. Most come
//! from minijinja-contrib; here is what it lacks, and the bounds that keep a
//! method from producing more than the template's fuel can pay for.

use minijinja::value::{from_args, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// One unit of fuel pays for this many bytes.
const BYTES_PER_FUEL: u64 = 64;

/// Widest padding of `format`, `ljust` and the like.
const WIDTH_LIMIT: usize = 4096;

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

pub fn unknown_method(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => string_method(state, value, method, args),
        ValueKind::Map if method == "copy" => Ok(value.clone()),
        ValueKind::Seq if method == "copy" => Ok(value.clone()),
        ValueKind::Seq if method == "index" => index_of(state, value, args),
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn index_of(
    state: &State,
    value: &Value,
    args: &[Value],
) -> Result<Value, Error> {
    let (what,): (&Value,) = from_args(args)?;
    for (i, item) in value.try_iter()?.enumerate() {
        state.consume_fuel(1)?;
        if item == *what {
            return Ok(Value::from(i));
        }
    }
    Err(invalid("list.index(x): x not in list"))
}

fn string_method(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    // Every one of them reads the whole string.
    state.consume_fuel(text.len() as u64 / BYTES_PER_FUEL)?;
    match method {
        "join" => return join(state, text, args),
        "replace" => check_replace(state, text, args)?,
        "format" => check_format(state, text, args)?,
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            return Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)));
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            return Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)));
        }
        "partition" | "rpartition" => {
            return partition(text, method == "partition", args)
        }
        "rsplit" => return rsplit(text, args),
        "index" => {
            let (what,): (&str,) = from_args(args)?;
            let at = text
                .find(what)
                .ok_or_else(|| invalid("substring not found"))?;
            return Ok(Value::from(text[..at].chars().count()));
        }
        "ljust" | "rjust" | "center" | "zfill" => {
            return pad(text, method, args)
        }
        _ => {}
    }
    pycompat::unknown_method_callback(state, value, method, args)
}

/// Python joins strings only, so nothing here needs to be formatted.
fn join(
    state: &State,
    separator: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let (values,): (&Value,) = from_args(args)?;
    let mut out = String::new();
    for (i, item) in values.try_iter()?.enumerate() {
        let text = item.as_str().ok_or_else(|| {
            invalid(format!(
                "join: item {i} must be a string, not {}",
                item.kind()
            ))
        })?;
        let bytes = (separator.len() + text.len()) as u64;
        state.consume_fuel(1 + bytes / BYTES_PER_FUEL)?;
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    Ok(Value::from(out))
}

fn check_replace(
    state: &State,
    text: &str,
    args: &[Value],
) -> Result<(), Error> {
    let (old, new, _count): (&str, &str, Option<i32>) = from_args(args)?;
    let found = if new.len() > old.len() {
        text.matches(old).count() as u64
    } else {
        0
    };
    state.consume_fuel(found.saturating_mul(new.len() as u64) / BYTES_PER_FUEL)
}

/// Bounds `format`: no wide padding, no containers (whose text has no bound).
fn check_format(
    state: &State,
    text: &str,
    args: &[Value],
) -> Result<(), Error> {
    for run in text.split(|c: char| !c.is_ascii_digit()) {
        if !run.is_empty()
            && run.parse::<usize>().map_or(true, |n| n > WIDTH_LIMIT)
        {
            return Err(invalid(format!(
                "format: {run} is more than {WIDTH_LIMIT}"
            )));
        }
    }
    let mut longest = 0;
    for arg in args {
        match arg.kind() {
            ValueKind::String => {
                longest = longest.max(arg.as_str().unwrap_or_default().len())
            }
            ValueKind::Number
                if arg
                    .as_i64()
                    .is_some_and(|n| n.unsigned_abs() > WIDTH_LIMIT as u64)
                    && text.contains(":{") =>
            {
                return Err(invalid("format: width out of bounds"));
            }
            ValueKind::Seq | ValueKind::Iterable => {
                return Err(invalid("format: lists are not supported"));
            }
            _ => {}
        }
    }
    let fields = text.matches('{').count() as u64;
    state.consume_fuel(
        fields.saturating_mul(longest as u64 + 64) / BYTES_PER_FUEL,
    )
}

fn partition(text: &str, first: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(args)?;
    if separator.is_empty() {
        return Err(invalid("empty separator"));
    }
    let split = if first {
        text.split_once(separator)
    } else {
        text.rsplit_once(separator)
    };
    let parts = match split {
        Some((a, b)) => [a, separator, b],
        None if first => [text, "", ""],
        None => ["", "", text],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
    let most = most
        .filter(|n| *n >= 0)
        .map_or(usize::MAX, |n| n as usize)
        .saturating_add(1);
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(invalid("empty separator")),
        Some(separator) => text.rsplitn(most, separator).collect(),
        None => rsplit_whitespace(text, most),
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}

fn rsplit_whitespace(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        let start = rest.char_indices().rev().find(|(_, c)| c.is_whitespace());
        match start {
            Some((i, c)) if parts.len() + 1 < most => {
                parts.push(&rest[i + c.len_utf8()..]);
                rest = rest[..i].trim_end();
            }
            _ => {
                parts.push(rest.trim_start());
                break;
            }
        }
    }
    parts
}

fn pad(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    if width > WIDTH_LIMIT {
        return Err(invalid(format!(
            "{method}: {width} is more than {WIDTH_LIMIT}"
        )));
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = if method == "zfill" {
        "0"
    } else {
        fill.unwrap_or(" ")
    };
    let padding = |n: usize| fill.repeat(n);
    if fill.chars().count() != 1 {
        return Err(invalid(
            "the fill character must be exactly one character long",
        ));
    }
    Ok(Value::from(match method {
        "ljust" => format!("{text}{}", padding(missing)),
        "rjust" => format!("{}{text}", padding(missing)),
        "zfill" => {
            let digits = text.trim_start_matches(['+', '-']);
            let sign = &text[..text.len() - digits.len()];
            format!("{sign}{}{digits}", padding(missing))
        }
        _ => {
            // As in CPython: the odd one goes left when the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", padding(left), padding(missing - left))
        }
    }))
}
