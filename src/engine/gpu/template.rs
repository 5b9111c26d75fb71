//! Unrolls the `#for` loops of a shader file.
//!
//! The tile of a convolution (pixels and channels of one invocation) must live in registers, and WGSL can neither size
//! a private array by an override constant nor promise that a loop over one is unrolled. So a shader file may say
//!
//! ```text
//! #for i PX
//!   let x{i} = load(first + {i}u);
//! #end
//! ```
//!
//! where `PX` is a tile size (or a number), `{i}` is the counter, and `{2*i+k}` any sum of products of counters, tile
//! sizes and numbers.

use std::collections::HashMap;

/// The tile sizes by which one file is expanded, by name.
pub(super) type Sizes<'a> = [(&'a str, usize)];

/// The shader text with every loop unrolled.
///
/// # Errors
/// Says which line is malformed.
pub(super) fn expand(source: &str, sizes: &Sizes<'_>) -> Result<String, String> {
    let mut names: HashMap<&str, usize> = sizes.iter().copied().collect();
    let lines: Vec<&str> = source.lines().collect();
    let mut out = String::with_capacity(source.len() * 2);
    block(&lines, &mut names, &mut out)?;
    Ok(out)
}

fn block<'a>(lines: &[&'a str], names: &mut HashMap<&'a str, usize>, out: &mut String) -> Result<(), String> {
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let Some(head) = line.trim_start().strip_prefix("#for ") else {
            substitute(line, names, out)?;
            out.push('\n');
            at += 1;
            continue;
        };
        let malformed = || format!("malformed shader loop: {line:?}");
        let (counter, count) = head.trim().split_once(' ').ok_or_else(malformed)?;
        let count = evaluate(count, names).ok_or_else(malformed)?;
        let end = matching_end(lines, at).ok_or_else(malformed)?;
        for i in 0..count {
            names.insert(counter, i);
            block(&lines[at + 1..end], names, out)?;
        }
        names.remove(counter);
        at = end + 1;
    }
    Ok(())
}

fn matching_end(lines: &[&str], start: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, line) in lines.iter().enumerate().skip(start) {
        match line.trim_start() {
            l if l.starts_with("#for ") => depth += 1,
            l if l.starts_with("#end") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(i);
        }
    }
    None
}

/// Replaces `{expression}`; braces that do not hold one (WGSL's own blocks) stay.
fn substitute(line: &str, names: &HashMap<&str, usize>, out: &mut String) -> Result<(), String> {
    let mut rest = line;
    while let Some(open) = rest.find('{') {
        let (before, tail) = rest.split_at(open);
        out.push_str(before);
        match tail[1..].split_once('}') {
            Some((inner, after)) if is_expression(inner) => {
                let value = evaluate(inner, names).ok_or_else(|| format!("unknown name in a shader: {line:?}"))?;
                out.push_str(&value.to_string());
                rest = after;
            }
            _ => {
                out.push('{');
                rest = &tail[1..];
            }
        }
    }
    out.push_str(rest);
    Ok(())
}

fn is_expression(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_+*".contains(c))
}

fn evaluate(text: &str, names: &HashMap<&str, usize>) -> Option<usize> {
    let factor = |f: &str| f.parse().ok().or_else(|| names.get(f).copied());
    let term = |t: &str| t.split('*').try_fold(1, |n, f| Some(n * factor(f.trim())?));
    text.trim().split('+').try_fold(0, |n, t| Some(n + term(t)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrolls_nested_loops_with_arithmetic() {
        let source = "#for i N\nlet a{i} = 0;\n#for k 2\na{i} += v{2*i+k};\n#end\n#end\nif (x) { y(); }";
        let text = expand(source, &[("N", 2)]).unwrap();
        let expected = "let a0 = 0;\na0 += v0;\na0 += v1;\nlet a1 = 0;\na1 += v2;\na1 += v3;\nif (x) { y(); }\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn names_the_malformed_line() {
        assert!(expand("#for i M\n#end", &[]).unwrap_err().contains("#for i M"));
        assert!(expand("#for i 2\n", &[]).unwrap_err().contains("#for i 2"));
        assert!(expand("let a{q} = 1;", &[]).unwrap_err().contains("a{q}"));
    }
}
