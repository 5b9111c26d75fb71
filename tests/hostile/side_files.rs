//! Hostile files beside a model: its description, heads, matrices, statistics and galleries.

/// What a file is given as.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// `model.json`.
    Manifest,
    /// A head, `.safetensors`.
    Head,
    /// A square matrix, `.npy`.
    Matrix,
    /// `statistics.bin`.
    Statistics,
    /// The array of a gallery, `.npy`; its table is a good one.
    GalleryArray,
    /// The table of a gallery, `.csv`; its array is a good one.
    GalleryTable,
}

impl Kind {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Manifest => "json",
            Self::Head => "safetensors",
            Self::Matrix | Self::GalleryArray => "npy",
            Self::Statistics => "bin",
            Self::GalleryTable => "csv",
        }
    }
}

/// One file.
pub struct SideFile {
    pub name: String,
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

/// A description that fits the good model of `generate.rs`.
pub const MANIFEST: &str = r#"{"format": 1, "name": "hostile", "input": {"size": 32, "stride": 1, "mean": [0, 0, 0], "std": [255, 255, 255]}}"#;

/// All hostile side files.
pub fn side_files(seed: u64) -> Vec<SideFile> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut files = Vec::new();
    let mut add = |kind: Kind, name: &str, bytes: Vec<u8>| {
        files.push(SideFile { name: format!("{kind:?}_{name}").to_lowercase(), kind, bytes });
    };
    for (name, text) in manifests() {
        add(Kind::Manifest, &name, text.into_bytes());
    }
    for (name, header, body) in heads() {
        add(Kind::Head, &name, safetensors(&header, body));
    }
    for (name, header, body) in arrays() {
        add(Kind::Matrix, &name, npy(&header, body));
        add(Kind::GalleryArray, &name, npy(&header, body));
    }
    for (name, header, body) in statistics() {
        add(Kind::Statistics, &name, statistics_file(&header, body));
    }
    for (name, text) in tables() {
        add(Kind::GalleryTable, &name, text.into_bytes());
    }
    // Good ones, cut off and damaged.
    let good = [
        (Kind::Manifest, MANIFEST.as_bytes().to_vec()),
        (Kind::Head, safetensors(r#"{"0.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#, 16)),
        (Kind::Matrix, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", 16)),
        (Kind::Statistics, statistics_file(&statistics_header("4", "32", "9"), 32 + 12)),
        (Kind::GalleryArray, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }\n", 16)),
        (Kind::GalleryTable, good_table().into_bytes()),
    ];
    for (kind, bytes) in good {
        for (i, part) in [0, 1, 3].into_iter().enumerate() {
            add(kind, &format!("cut_{i}"), bytes[..bytes.len() * part / 4].to_vec());
        }
        for i in 0..4 {
            let mut damaged = bytes.clone();
            for _ in 0..=i {
                let at = random.usize(..damaged.len());
                damaged[at] ^= 1 << random.u8(..8);
            }
            add(kind, &format!("flipped_{i}"), damaged);
        }
        add(kind, "noise", (0..1000).map(|_| random.u8(..)).collect());
    }
    files
}

const ABSURD: [&str; 9] =
    ["-1", "0", "1.5", "2147483648", "4294967297", "18446744073709551615", "1e400", "null", "\"x\""];

fn manifests() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (i, n) in ABSURD.into_iter().enumerate() {
        let input = |field: &str| MANIFEST.replace(&format!("\"{field}\": "), &format!("\"{field}\": {n}, \"was\": "));
        all.extend(["size", "stride", "mean", "std"].map(|field| (format!("{field}_{i}"), input(field))));
        let end = format!(", \"class_specific\": {{\"layer\": \"y\", \"size\": {n}}}}}");
        all.push((format!("class_specific_{i}"), format!("{}{end}", MANIFEST.trim_end_matches('}').to_owned() + "}")));
    }
    all.push(("nested".into(), format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))));
    all.push(("long".into(), MANIFEST.replace("hostile", &"x".repeat(2_000_000))));
    all.push(("twice".into(), MANIFEST.replace("\"name\"", "\"format\": 1, \"format\": 2, \"name\"")));
    all.push(("empty".into(), String::new()));
    all.push(("list".into(), "[1, 2, 3]".into()));
    all.push(("target".into(), MANIFEST.replace("\"name\"", "\"target\": \"nothing\", \"name\"")));
    all.push((
        "embedding".into(),
        MANIFEST.replace("\"name\"", "\"embedding\": \"nothing\", \"pooling\": \"model\", \"name\""),
    ));
    all.push(("mean_embedding".into(), MANIFEST.replace("\"name\"", "\"mean_embedding\": [1e39, 2, 3], \"name\"")));
    all.push(("leaves".into(), MANIFEST.replace("\"name\"", "\"file\": \"../../../../etc/passwd\", \"name\"")));
    all
}

fn heads() -> Vec<(String, String, usize)> {
    let layer = |shape: &str, offsets: &str| {
        format!(r#"{{"0.weight":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let mut all = vec![
        ("outputs_huge".into(), layer("[9223372036854775807,0]", "[0,0]"), 0),
        ("inputs_huge".into(), layer("[0,9223372036854775807]", "[0,0]"), 0),
        ("nothing".into(), "{}".into(), 0),
        ("backwards".into(), layer("[2,2]", "[16,0]"), 16),
        ("beyond".into(), layer("[2,2]", "[0,16]"), 8),
        ("many_dimensions".into(), layer(&format!("[{}1]", "1,".repeat(5000)), "[0,4]"), 4),
        ("number_huge".into(), layer("[2,2]", "[0,16]").replace("0.weight", "18446744073709551615.weight"), 16),
        ("type".into(), layer("[2,2]", "[0,4]").replace("F32", "I8"), 4),
    ];
    for (i, n) in ABSURD.into_iter().enumerate() {
        all.push((format!("shape_{i}"), layer(&format!("[{n},2]"), "[0,16]"), 16));
        all.push((format!("offset_{i}"), layer("[2,2]", &format!("[0,{n}]")), 16));
    }
    all
}

fn safetensors(header: &str, body: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![1; body]].concat()
}

fn arrays() -> Vec<(String, String, usize)> {
    let header = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let shapes = [
        "(2, 2",
        "()",
        "(4,)",
        "(1, 1, 4)",
        "(-1, 4)",
        "(18446744073709551615, 0)",
        "(0, 18446744073709551615)",
        "(4294967296, 4294967296)",
        "(9223372036854775807, 2)",
        "(2, 3)",
        "(99999999999999999999999, 1)",
        "(0, 0)",
    ];
    let mut all: Vec<_> = shapes.iter().enumerate().map(|(i, s)| (format!("shape_{i}"), header(s), 16)).collect();
    all.push(("fortran".into(), header("(2, 2)").replace("False", "True"), 16));
    all.push(("type".into(), header("(2, 2)").replace("<f4", "|O8"), 16));
    all.push(("header".into(), "{".repeat(60_000), 16));
    all.push(("not_a_number".into(), header("(2, 2)"), 0));
    all
}

fn npy(header: &str, body: usize) -> Vec<u8> {
    // A byte of 255 all over is not a number.
    let values = if body == 0 { vec![255; 16] } else { vec![1; body] };
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &values].concat()
}

fn statistics_header(channels: &str, side: &str, cells: &str) -> String {
    format!(
        r#"{{"layer":"y","channels":{channels},"width":{side},"height":{side},"images":3,"cells":{cells},"model_sha256":"","source":""}}"#
    )
}

fn statistics() -> Vec<(String, String, usize)> {
    let mut all = Vec::new();
    for (i, n) in ABSURD.into_iter().enumerate() {
        all.push((format!("channels_{i}"), statistics_header(n, "32", "9"), 44));
        all.push((format!("side_{i}"), statistics_header("4", n, "9"), 44));
        all.push((format!("cells_{i}"), statistics_header("4", "32", n), 44));
        let head = format!(r#","head":{{"layer":"z","channels":{n}}}}}"#);
        all.push((format!("head_{i}"), statistics_header("4", "32", "9").trim_end_matches('}').to_owned() + &head, 44));
    }
    all
}

fn statistics_file(header: &str, body: usize) -> Vec<u8> {
    [b"FAMSTAT1", &(header.len() as u32).to_le_bytes()[..], header.as_bytes(), &vec![0; body]].concat()
}

fn good_table() -> String {
    let origin = r#"{"model":"m","weights":"w","input":"i","target":"y","pooling":"gap","channels":4}"#;
    format!("# famlens gallery {origin}\nname,content,picture,width,height\na.jpg,c,00000000000000ff,4,4\n")
}

/// The array that the good table belongs to.
pub fn good_array() -> Vec<u8> {
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }\n", 16)
}

/// The table that the good array belongs to.
pub fn table() -> String {
    good_table()
}

fn tables() -> Vec<(String, String)> {
    let good = good_table();
    let mut all: Vec<(String, String)> = ABSURD
        .into_iter()
        .enumerate()
        .map(|(i, n)| (format!("channels_{i}"), good.replace("\"channels\":4", &format!("\"channels\":{n}"))))
        .collect();
    all.push(("quote".into(), good.replace("a.jpg", "\"a.jpg")));
    all.push(("columns".into(), good.replace("a.jpg", "a.jpg,,,,,,,,")));
    all.push(("width".into(), good.replace(",4,4", ",99999999999999,-4")));
    all.push(("hash".into(), good.replace("00000000000000ff", "zz")));
    all.push(("long_field".into(), good.replace("a.jpg", &"a".repeat(3_000_000))));
    all.push(("many_rows".into(), good.clone() + &"b.jpg,c,0,1,1\n".repeat(50_000)));
    all.push(("twice".into(), good.clone() + &good));
    all.push(("no_lines".into(), good.replace('\n', " ")));
    all
}
