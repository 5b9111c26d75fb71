//! `table.tsv`: what becomes of each case.

use std::collections::BTreeMap;

const HEAD: &str = "\
# ONNX's test cases of its operators (package onnx, 1.22.0: node and light cases), and what becomes of them here.
# Written by `cargo xtask conformance --write`. The cases are (c) the ONNX project contributors, Apache-2.0 (in cases.tar.gz).
# run: \"engine\" if inputs were activations (\"active\": the sets of inputs that were), \"folded\" if the importer computes it
# beforehand. outcome: as read, on the reference and on the CPU. gpu: both sets of kernels of the GPU engine.
# Operators that are not supported at all stand at the end, with the number of their cases.
operator\tcase\trun\tactive\toutcome\tgpu
";

/// One case.
#[derive(Clone, PartialEq)]
pub struct Row {
    pub operator: String,
    pub case: String,
    pub run: String,
    pub active: String,
    pub outcome: String,
    pub gpu: String,
}

impl Row {
    pub fn passes(&self) -> bool {
        self.outcome.starts_with("pass")
    }

    fn to_line(&self) -> String {
        [&self.operator, &self.case, &self.run, &self.active, &self.outcome, &self.gpu].map(String::as_str).join("\t")
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split('\t').map(String::from);
        let mut next = || fields.next();
        Some(Self { operator: next()?, case: next()?, run: next()?, active: next()?, outcome: next()?, gpu: next()? })
    }
}

/// All cases, and the operators that are not supported with the number of their cases.
pub struct Table {
    rows: Vec<Row>,
    refused: BTreeMap<String, String>,
}

/// What stands for the case of an operator that is not supported.
const ALL: &str = "cases: ";

impl Table {
    pub fn new(mut rows: Vec<Row>, refused: BTreeMap<String, usize>) -> Self {
        rows.sort_by(|a, b| (&a.operator, &a.case).cmp(&(&b.operator, &b.case)));
        let refused = refused.into_iter().map(|(op, n)| (op, format!("{ALL}{n}"))).collect();
        Self { rows, refused }
    }

    pub fn read(text: &str) -> Self {
        let (mut rows, mut refused) = (Vec::new(), BTreeMap::new());
        for row in text.lines().filter(|l| !l.starts_with('#')).skip(1).filter_map(Row::from_line) {
            match row.case.starts_with(ALL) {
                true => _ = refused.insert(row.operator, row.case),
                false => rows.push(row),
            }
        }
        Self { rows, refused }
    }

    pub fn to_text(&self) -> String {
        let mut text = HEAD.to_string();
        for row in &self.rows {
            text += &row.to_line();
            text.push('\n');
        }
        for (operator, cases) in &self.refused {
            text += &format!("{operator}\t{cases}\t-\t-\tnot supported: the operator is not known\t-\n");
        }
        text
    }

    pub fn passes(&self, case: &str) -> bool {
        self.rows.iter().any(|r| r.case == case && r.passes())
    }

    /// How a row differs from the one kept here; `whole` if all cases were run, `gpu` if on a GPU too.
    pub fn difference(&self, row: &Row, whole: bool, gpu: bool) -> Option<String> {
        let Some(kept) = self.rows.iter().find(|k| k.case == row.case) else {
            return Some(format!("it is not there; now {}", row.to_line()));
        };
        let mut kept = kept.clone();
        if !gpu {
            kept.gpu = row.gpu.clone();
        }
        // The title of an expanded case is taken from another one, which a compact archive may not have.
        if !whole {
            kept.operator = row.operator.clone();
        }
        (kept != *row).then(|| format!("kept {}\n       now  {}", kept.to_line(), row.to_line()))
    }

    /// What this table, the one kept, has and a run of all cases has not.
    pub fn missing(&self, now: &Self) -> Vec<String> {
        let gone = self.rows.iter().filter(|k| !now.rows.iter().any(|r| r.case == k.case));
        let mut found: Vec<String> =
            gone.map(|k| format!("{}: was {} and is not run now", k.case, k.outcome)).collect();
        if self.refused != now.refused {
            found.push(format!("operators not supported were {:?}, and are {:?}", self.refused, now.refused));
        }
        found
    }
}
