//! Files that are no ONNX: what each is, told by its bytes, and the command that makes an ONNX file of it.

/// How much of a file is searched for words.
const SEARCHED: usize = 4 << 20;

const TORCH: &str = "python -c \"import torch; from my_code import net; \
                     net.load_state_dict(torch.load('model.pt', map_location='cpu')); \
                     torch.onnx.export(net.eval(), (torch.zeros(1, 3, 224, 224),), 'model.onnx', external_data=False)\"";
const SCRIPT: &str = "python -c \"import torch; net = torch.jit.load('model.pt', map_location='cpu').eval(); \
                      torch.onnx.export(net, (torch.zeros(1, 3, 224, 224),), 'model.onnx', dynamo=False)\"";
const KERAS: &str = "python -c \"import keras, numpy; net = keras.models.load_model('model.keras'); \
                     net.predict(numpy.zeros((1, *net.input_shape[1:]), 'float32')); \
                     net.export('model.onnx', format='onnx')\"";
const LITE: &str = "python -m tf2onnx.convert --tflite model.tflite --output model.onnx --opset 17";
const SAVED: &str = "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx --opset 17";
const FROZEN: &str =
    "python -m tf2onnx.convert --graphdef model.pb --inputs input:0 --outputs output:0 --output model.onnx";
const PADDLE: &str = "paddle2onnx --model_dir . --model_filename model.pdmodel --params_filename model.pdiparams \
                      --save_file model.onnx";

/// What a file is by its first bytes, and what to do with it, in words; `None` for what may be an ONNX file.
pub(super) fn other(bytes: &[u8]) -> Option<String> {
    let text = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
    let text = String::from_utf8_lossy(text).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let searched = &bytes[..bytes.len().min(SEARCHED)];
    let tail = &bytes[bytes.len().saturating_sub(SEARCHED)..];
    // The names of a ZIP file stand at its end, and again before each of its files.
    let has = |word: &str| contains(searched, word) || contains(tail, word);
    let by_command = |what: &str, command: &str| Some(format!("it is {what}; make an ONNX file of it: {command}"));
    match bytes {
        [] => Some("the file is empty; download or export it again".into()),
        _ if text.starts_with("version https://git-lfs") => Some(
            "it is a pointer of Git LFS that stands for the model; fetch the model itself: git lfs pull".into(),
        ),
        _ if text.starts_with("<!doctype html") || text.starts_with("<html") => Some(
            "it is a web page and no model (of a download that was refused, or the page around the file); download the file \
             itself: curl -L -o model.onnx ADDRESS, on Hugging Face with /resolve/ in place of /blob/, on GitHub with /raw/"
                .into(),
        ),
        _ if text.starts_with("<?xml") && text.contains("<net") => Some(
            "it is a network in OpenVINO's form (IR), which nothing turns back; export the network that it was made of: \
             torch.onnx.export for PyTorch, python -m tf2onnx.convert for TensorFlow"
                .into(),
        ),
        _ if text.starts_with('{') && (has("modelTopology") || has("weightsManifest")) => by_command(
            "the description of a TensorFlow.js model",
            "tensorflowjs_converter --input_format=tfjs_layers_model --output_format=keras model.json model.h5, and then \
             python -m tf2onnx.convert --keras model.h5 --output model.onnx",
        ),
        _ if text.starts_with('{') || text.starts_with('[') => {
            Some("it is a JSON file and no model; give the .onnx file that it belongs to as well".into())
        }
        [b'P', b'K', 3, 4, ..] => zipped(has),
        [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, ..] => torch(has),
        [0x80, 2..=5, ..] if has("torch") => torch(has),
        [0x80, 2..=5, ..] => Some("it is a Python pickle and no network; export the network in it with torch.onnx.export".into()),
        [0x89, b'H', b'D', b'F', b'\r', b'\n', ..] => by_command("a Keras model or its weights (HDF5)", &KERAS.replace(".keras", ".h5")),
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => by_command("a TensorFlow Lite model", LITE),
        [_, _, _, _, b'O', b'R', b'T', b'M', ..] => {
            Some("it is a model in ONNX Runtime's own form (.ort); use the .onnx file that it was made of".into())
        }
        [b'G', b'G', b'U', b'F', ..] => Some("it is a language model (GGUF); famlens explains image models".into()),
        [a, b, c, d, 0, 0, 0, 0, b'{', ..] if u32::from_le_bytes([*a, *b, *c, *d]) as usize <= bytes.len() => by_command(
            "a file of weights without their network (safetensors)",
            &TORCH.replace("torch.load('model.pt', map_location='cpu')", "safetensors.torch.load_file('model.safetensors')")
                .replace("import torch;", "import torch, safetensors.torch;"),
        ),
        [b'7', b'7', b'6', b'7', b'5', b'1', b'7', ..] => {
            Some("it is a network in ncnn's form, which nothing turns back; use the ONNX file that it was made of".into())
        }
        _ => None,
    }
}

/// The same of a file of messages that is no ONNX model: other formats are written in the same wire format.
pub(super) fn other_messages(bytes: &[u8]) -> Option<String> {
    let searched = &bytes[..bytes.len().min(SEARCHED)];
    let by_command = |what: &str, command: &str| Some(format!("it is {what}; make an ONNX file of it: {command}"));
    // The first message, behind its length.
    let first = bytes.iter().skip(1).position(|b| b & 0x80 == 0).and_then(|i| bytes.get(i + 2..)).unwrap_or_default();
    match (bytes, first) {
        ([0x0a, ..], [0x08, 0, 0x10, ..]) => by_command("a PaddlePaddle model", PADDLE),
        _ if contains(searched, "saved_model_main_op") || contains(searched, "serving_default") => {
            by_command("a model that TensorFlow saved (saved_model.pb)", SAVED)
        }
        ([0x0a, ..], [0x0a, ..]) if contains(searched, "Placeholder") => by_command("a frozen TensorFlow graph", FROZEN),
        // Its kind of network is a field with a large number.
        ([0x08, ..], _) if contains(searched, "com.github.apple.coremltools") || contains(searched, "MLMODEL") => Some(
            "it is a CoreML model, which nothing turns back; export the network that it was made of: torch.onnx.export for \
             PyTorch, python -m tf2onnx.convert for TensorFlow"
                .into(),
        ),
        _ => None,
    }
}

fn zipped(has: impl Fn(&str) -> bool) -> Option<String> {
    let by_command = |what: &str, command: &str| Some(format!("it is {what}; make an ONNX file of it: {command}"));
    if has("model.weights.h5") {
        return by_command("a Keras model", KERAS);
    }
    if has("com.apple.CoreML") {
        return Some("it is a CoreML package, which nothing turns back; export the network that it was made of".into());
    }
    if has("data.pkl") {
        return torch(has);
    }
    Some(match has(".onnx") {
        true => "it is a ZIP file with a model in it; unpack it: unzip model.zip".into(),
        false => "it is a ZIP file and no model; unpack it, and give the .onnx file in it".to_owned(),
    })
}

fn torch(has: impl Fn(&str) -> bool) -> Option<String> {
    let by_command = |what: &str, command: &str| Some(format!("it is {what}; make an ONNX file of it: {command}"));
    match () {
        () if has("ultralytics") => {
            by_command("a PyTorch checkpoint of Ultralytics YOLO", "yolo export model=model.pt format=onnx")
        }
        () if has("constants.pkl") || has("code/__torch__") => by_command("a TorchScript model", SCRIPT),
        () => by_command(
            "a PyTorch checkpoint, which holds weights (my_code is yours, with the network they belong to)",
            TORCH,
        ),
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    let word = word.as_bytes();
    let Some(&first) = word.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|b| *b == first) {
        if rest[at..].starts_with(word) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::onnx::Model;

    fn says(bytes: &[u8], words: &[&str]) {
        let error = Model::parse(bytes).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{word:?} is not in {error:?}"));
    }

    #[test]
    fn other_formats_are_told_apart_and_answered_with_a_command() {
        says(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", &["Git LFS", "git lfs pull"]);
        says(b"\n<!DOCTYPE html><html><body>404</body></html>", &["web page", "/resolve/"]);
        says(b"<?xml version=\"1.0\"?><net name=\"a\" version=\"11\"></net>", &["OpenVINO"]);
        says(br#"{"modelTopology": {}, "weightsManifest": []}"#, &["TensorFlow.js", "tf2onnx"]);
        says(br#"{"format": 1}"#, &["JSON", ".onnx file"]);
        says(b"PK\x03\x04....archive/data.pkl....", &["PyTorch checkpoint", "torch.onnx.export"]);
        says(b"PK\x03\x04....m/data.pkl..m/constants.pkl", &["TorchScript", "torch.jit.load"]);
        says(b"PK\x03\x04....best/data.pkl ultralytics.nn.tasks", &["Ultralytics", "yolo export"]);
        says(b"PK\x03\x04config.json model.weights.h5", &["Keras", "format='onnx'"]);
        says(b"PK\x03\x04 some/model.onnx", &["ZIP", "unzip"]);
        says(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20", &["PyTorch checkpoint"]);
        says(b"\x89HDF\r\n\x1a\n....", &["Keras", "model.h5"]);
        says(b"\x1c\0\0\0TFL3....", &["TensorFlow Lite", "--tflite"]);
        says(b"\x1c\0\0\0ORTM....", &[".ort"]);
        says(b"\x02\0\0\0\0\0\0\0{}", &["safetensors", "load_file"]);
        says(b"GGUF....", &["language model"]);
        says(b"", &["empty"]);
    }

    #[test]
    fn formats_in_the_same_wire_format_are_told_apart() {
        // A program of one block: its number, then that of its parent.
        says(b"\x0a\x0d\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &["PaddlePaddle", "paddle2onnx"]);
        says(b"\x0a\x12\x0a\x01x\x12\x0bPlaceholder\x1a\x00", &["frozen TensorFlow graph", "--graphdef"]);
        says(b"\x08\x01\x12\x12\x0a\x10serving_default!", &["TensorFlow saved", "--saved-model"]);
        says(b"\x08\x05\x12\x1e\x0a\x1ccom.github.apple.coremltools", &["CoreML"]);
    }
}
