//! `cargo xtask results`: measures again what docs/results.md shows and writes the tables between their markers.
//!
//! A block of the page lies between `<!-- results:NAME -->` and `<!-- /results:NAME -->`. What stands outside is
//! written by people and stays.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::sh;

/// One block: a command and what of its results is shown.
struct Block {
    name: &'static str,
    /// What follows `famlens evaluate --images tests/photos`; where there are no views, what follows `famlens`.
    args: &'static [&'static str],
    /// Empty: what the command prints is the block.
    views: &'static [View],
}

/// One table of a block, for each setting that was measured.
struct View {
    /// The name of the table in results.json.
    table: &'static str,
    columns: &'static [&'static str],
    /// Whether small, medium and large objects have lines of their own.
    sizes: bool,
    /// The figure whose paired difference to the first line is shown.
    against_first: Option<&'static str>,
}

const LOCALISATION: View = View {
    table: "localisation",
    columns: &["iou", "corloc", "energy", "pointing"],
    sizes: false,
    against_first: Some("iou"),
};
const MOSAIC2: View = View {
    table: "mosaic 2x2",
    columns: &["tileEnergy", "tilePeak", "tileAuc", "wrong"],
    sizes: false,
    against_first: Some("tileEnergy"),
};
const MOSAIC3: View = View { table: "mosaic 3x3", ..MOSAIC2 };

const BLOCKS: &[Block] = &[
    Block {
        name: "forms",
        args: &["--form", "fam,cam,magnitude,centred,contrastive", "--mosaics", "100"],
        views: &[
            View { sizes: true, ..LOCALISATION },
            View {
                table: "decision",
                columns: &["correct2", "correct5", "correct", "wrong"],
                sizes: false,
                against_first: None,
            },
            MOSAIC2,
            MOSAIC3,
        ],
    },
    Block {
        name: "geometry",
        args: &["--resize", "squash,aspect,letterbox,crop", "--form", "fam"],
        views: &[
            View { table: "few-shot accuracy", columns: &["correct"], sizes: false, against_first: None },
            LOCALISATION,
        ],
    },
    Block {
        name: "choices",
        args: &[
            "--form",
            "fam,cam,contrastive",
            "--similarity",
            "cosine,dot,euclidean,pearson",
            "--pooling",
            "gap,gmp,gem,crow",
            "--mosaics",
            "50",
        ],
        views: &[LOCALISATION, MOSAIC2],
    },
    Block {
        name: "methods",
        args: &[
            "--form",
            "fam",
            "--only-boxed",
            "--mosaics",
            "50",
            "--methods",
            "fam,mean,cam,grad-cam,grad-cam++,layer-cam,hires-cam,xgrad-cam,eigen-cam,ablation-cam,random",
        ],
        views: &[LOCALISATION, MOSAIC2],
    },
    Block {
        name: "black-box",
        args: &["--form", "fam", "--only-boxed", "--methods", "fam,score-cam,occlusion,rise"],
        views: &[LOCALISATION],
    },
    Block {
        name: "finer",
        args: &[
            "--form",
            "fam",
            "--only-boxed",
            "--variant",
            r#"mirrored={"finer":{"flip":true}}"#,
            "--variant",
            r#"scale 1.43={"finer":{"scales":[1.43]}}"#,
            "--variant",
            r#"2 x 2 shifts={"finer":{"shifts":2}}"#,
            "--variant",
            r#"3 x 3 shifts={"finer":{"shifts":3}}"#,
            "--variant",
            r#"2 x 2 shifts and scale 1.43={"finer":{"shifts":2,"scales":[1.43]}}"#,
        ],
        views: &[View { sizes: true, ..LOCALISATION }],
    },
    Block {
        name: "faithfulness",
        args: &["--form", "fam,cam,centred,contrastive", "--only-boxed", "--faithfulness"],
        views: &[View {
            table: "faithfulness",
            columns: &["drop", "increase", "insertion", "deletion"],
            sizes: false,
            against_first: Some("insertion"),
        }],
    },
    Block {
        name: "sanity",
        args: &["--form", "fam,cam,contrastive", "--only-boxed", "--randomise", "1,2,5,10,20,49"],
        views: &[View { table: "comparison", columns: &["rank", "pearson"], sizes: false, against_first: None }],
    },
    Block {
        name: "class-specific",
        args: &["specificity", "--images", "tests/photos", "--shots", "1,5", "--mosaics", "20", "--repeats", "2"],
        views: &[],
    },
    Block {
        name: "cost",
        args: &[
            "bench-methods",
            "--model",
            "models/efficientnet_lite0",
            "--model",
            "models/efficientnet_lite2",
            "--sizes",
            "128,224,320",
        ],
        views: &[],
    },
];

/// Measures the blocks named, or all of them, and writes docs/results.md.
///
/// # Errors
/// If a block is unknown or has no markers on the page, or something cannot be run or written.
pub fn run(names: &[String], list: bool, program: Option<&Path>) -> Result<()> {
    if list {
        BLOCKS.iter().for_each(|block| println!("{:12} {}", block.name, line(block)));
        return Ok(());
    }
    if let Some(name) = names.iter().find(|name| BLOCKS.iter().all(|block| block.name != *name)) {
        bail!("there is no block {name:?}; `cargo xtask results --list` names them");
    }
    let path = sh::root().join("docs/results.md");
    let chosen = BLOCKS.iter().filter(|block| names.is_empty() || names.iter().any(|name| name == block.name));
    for block in chosen {
        let out = sh::root().join("target/results").join(block.name);
        let mut command = program.map_or_else(sh::cargo, sh::command);
        if program.is_none() {
            command.args(["run", "--quiet", "--release", "--package", "famlens", "--bin", "famlens", "--"]);
        }
        let made = match block.views.is_empty() {
            true => printed(block, command.args(block.args))?,
            false => {
                command.args(["evaluate", "--images", "tests/photos"]);
                // Finished photos stay finished: a block that was stopped goes on.
                sh::run(command.args(block.args).arg("--out").arg(&out).stdout(Stdio::null()))?;
                markdown(block, &out)?
            }
        };
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(&path, replace(&text, block.name, &made)?)?;
    }
    println!("wrote {}", path.display());
    Ok(())
}

fn line(block: &Block) -> String {
    let quoted = |arg: &&str| if arg.contains(['{', ' ']) { format!("'{arg}'") } else { (*arg).to_owned() };
    let args: Vec<_> = block.args.iter().map(quoted).collect();
    let command = if block.views.is_empty() { "" } else { "evaluate --images tests/photos " };
    format!("famlens {command}{}", args.join(" "))
}

/// A command and what it prints; progress stays on the terminal.
fn printed(block: &Block, command: &mut Command) -> Result<String> {
    println!("$ {}", line(block));
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {}", line(block)))?;
    if !output.status.success() {
        bail!("{} failed ({})", line(block), output.status);
    }
    Ok(format!("```sh\n{}\n```\n\n{}\n\n", line(block), String::from_utf8_lossy(&output.stdout).trim()))
}

/// The page with what lies between a block's markers replaced.
fn replace(page: &str, name: &str, text: &str) -> Result<String> {
    let (open, close) = (format!("<!-- results:{name} -->\n"), format!("<!-- /results:{name} -->"));
    let from = page.find(&open).with_context(|| format!("docs/results.md has no marker {}", open.trim()))? + open.len();
    let to = from + page[from..].find(&close).with_context(|| format!("docs/results.md has no marker {close}"))?;
    Ok(format!("{}{text}{}", &page[..from], &page[to..]))
}

fn markdown(block: &Block, out: &Path) -> Result<String> {
    let path = out.join("results.json");
    let results: Value =
        serde_json::from_slice(&fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?)?;
    let mut text = format!("```sh\n{}\n```\n\n", line(block));
    let label = |name: &str| {
        let found = list(&results["measures"]).iter().find(|m| m["name"] == name);
        found.and_then(|m| m["label"].as_str()).unwrap_or(name).to_owned()
    };
    for view in block.views {
        let here: Vec<&Value> = list(&results["aggregates"]).iter().filter(|a| a["table"] == view.table).collect();
        let several = here.iter().any(|a| a["setting"] != here[0]["setting"]);
        let columns: Vec<String> = view.columns.iter().map(|name| label(name)).collect();
        let mut heading = vec![view.table.to_owned()];
        heading.extend(columns);
        heading.extend(view.against_first.map(|name| format!("{} less the first line's", label(name))));
        heading.push("n".into());
        text += &format!("| {} |\n|{}\n", heading.join(" | "), "---|".repeat(heading.len()));
        for line in here.iter().filter(|a| view.sizes || a["size"].is_null()) {
            let mut cells = vec![title(line, several)];
            cells.extend(view.columns.iter().map(|name| interval(&line["values"][*name])));
            cells.extend(view.against_first.map(|name| difference(&results, line, name)));
            let n =
                line["values"].as_object().into_iter().flat_map(|v| v.values()).filter_map(|v| v["n"].as_u64()).max();
            cells.push(n.unwrap_or(0).to_string());
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text.push('\n');
    }
    Ok(text)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn title(line: &Value, with_setting: bool) -> String {
    let of = |name: &str| line[name].as_str().unwrap_or_default();
    let mut title =
        if with_setting { format!("{}: {}", of("setting"), of("variant")) } else { of("variant").to_owned() };
    if !line["size"].is_null() {
        title += &format!(", {} objects", of("size"));
    }
    title
}

/// `67.3 (61.0 to 73.2)`, in per cent.
fn interval(value: &Value) -> String {
    let of = |name: &str| value[name].as_f64().map(|v| format!("{:.1}", v * 100.0));
    match (of("mean"), of("low"), of("high")) {
        (Some(mean), Some(low), Some(high)) => format!("{mean} ({low} to {high})"),
        _ => String::new(),
    }
}

/// The paired difference to the table's first line, in bold where its interval excludes 0.
fn difference(results: &Value, line: &Value, name: &str) -> String {
    let same = |d: &&Value| ["table", "setting", "variant"].iter().all(|key| d[*key] == line[*key]);
    let found = list(&results["differences"]).iter().find(same).filter(|_| line["size"].is_null());
    let Some(found) = found.map(|d| &d["values"][name]["difference"]).filter(|d| !d.is_null()) else {
        return String::new();
    };
    let of = |key: &str| found[key].as_f64().unwrap_or(0.0);
    let text = interval(found);
    if of("low") > 0.0 || of("high") < 0.0 { format!("**{text}**") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_markers_changes() {
        let page = "a\n<!-- results:x -->\nold\n<!-- /results:x -->\nb\n";
        assert_eq!(replace(page, "x", "new\n").unwrap(), "a\n<!-- results:x -->\nnew\n<!-- /results:x -->\nb\n");
        assert!(replace(page, "y", "").is_err());
    }

    #[test]
    fn every_block_has_its_markers() {
        let page = fs::read_to_string(sh::root().join("docs/results.md")).unwrap();
        for block in BLOCKS {
            replace(&page, block.name, "").unwrap();
        }
    }
}
