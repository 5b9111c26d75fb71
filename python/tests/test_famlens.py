"""The package as a user has it: images of every kind, frames, errors, threads, and the command line."""

import json
import subprocess
import threading
import time

import numpy as np
import pandas
import pytest
from PIL import Image

import famlens
from famlens._program import program, run

BIRDS = ("owl.jpg", "duck.jpg", "scarlet_macaw.jpg")


@pytest.fixture(scope="module")
def birds(photos):
    return [photos / "bird" / name for name in BIRDS]


@pytest.fixture(scope="module")
def query(photos):
    return photos / "bird" / "kingfisher.jpg"


@pytest.fixture(scope="module")
def classes(photos, birds):
    return {"bird": birds, "fish": photos / "fish"}


@pytest.fixture(scope="module")
def explanation(session, query, classes):
    return session.explain(query, classes, form="fam")


def test_an_explanation_is_arrays_and_frames(explanation, query):
    assert explanation.predicted == "bird" and explanation.classes == ["bird", "fish"]
    assert explanation.maps.shape == (2, 7, 7) and explanation.maps.dtype == np.float32
    assert explanation.contributions.shape == explanation.weights.shape == (2, 1280)
    # The channels carry the whole cosine.
    np.testing.assert_allclose(explanation.contributions.sum(axis=1), explanation.similarities, atol=1e-4)
    assert explanation.upsampled().shape == (432, 768) and explanation.upsampled("fish").max() <= 1
    overlay = explanation.overlay("bird", colormap="viridis", opacity=0.5)
    assert overlay.shape == (432, 768, 3) and overlay.dtype == np.uint8
    assert (overlay != explanation.overlay("bird", opacity=0)).any()
    frame = explanation.frame
    assert isinstance(frame, pandas.DataFrame) and list(frame["class"]) == ["bird", "fish"]
    x0, y0, x1, y1 = explanation.boxes[0]
    assert 0 <= x0 < x1 <= 768 and 0 <= y0 < y1 <= 432
    assert frame.loc[0, ["x0", "y1"]].tolist() == [x0, y1]


def test_the_command_line_says_the_same(explanation, query, birds, photos):
    arguments = ["explain", "--query", query, "--class", f"fish={photos / 'fish'}", "--form", "fam"]
    for bird in birds:
        arguments += ["--class", f"bird={bird}"]
    said = json.loads(run(*arguments, "--engine", "cpu", "--json", "--maps", "json"))
    by_name = {entry["name"]: at for at, entry in enumerate(said["classes"])}
    for at, name in enumerate(explanation.classes):
        similarity = said["classes"][by_name[name]]["similarity"]
        assert similarity == pytest.approx(explanation.similarities[at], abs=1e-6)
        data = np.reshape(said["maps"][by_name[name]]["data"], (7, 7))
        np.testing.assert_allclose(data, explanation.maps[at], atol=1e-6)


def test_paths_bytes_pil_and_arrays_are_the_same_image(session, query):
    picture = Image.open(query).resize((96, 80))
    picture.filename = ""
    array = np.asarray(picture)
    encoded = Image.fromarray(array)
    from io import BytesIO

    buffer = BytesIO()
    encoded.save(buffer, "png")
    rows = session.embed([picture, array, array.astype(np.float32) / 255, buffer.getvalue()])
    assert rows.shape == (4, 1280)
    np.testing.assert_array_equal(rows, np.repeat(rows[:1], 4, axis=0))
    both = session.embed([str(query), query, query.read_bytes()])
    np.testing.assert_array_equal(both, np.repeat(both[:1], 3, axis=0))
    grey = session.embed([picture.convert("L"), np.asarray(picture.convert("L"))])
    np.testing.assert_array_equal(grey[0], grey[1])
    clear, white = np.zeros((20, 30, 4), np.uint8), np.full((20, 30, 3), 255, np.uint8)
    both = session.embed([clear, white])
    np.testing.assert_array_equal(both[0], both[1])


def test_errors_are_exceptions_with_the_words_of_the_command_line(session, query, birds, classes, tmp_path):
    with pytest.raises(famlens.FileError, match="nowhere.jpg"):
        session.explain("nowhere.jpg", classes)
    half = tmp_path / "half.jpg"
    half.write_bytes(query.read_bytes()[:3000])
    with pytest.raises(famlens.ImageError, match="half.jpg") as raised:
        session.embed(half)
    arguments = [program(), "explain", "--query", half, "--class", f"a={birds[0]}", "--engine", "cpu"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.stderr.strip() == f"famlens: {raised.value}"
    with pytest.raises(famlens.ArgumentError, match="fomr"):
        session.explain(query, classes, fomr="fam")
    with pytest.raises(ValueError, match="has no images"):
        session.explain(query, {"a": []})
    with pytest.raises(famlens.ImageError, match="shape"):
        session.embed([np.zeros((3, 4, 7), np.uint8)])
    with pytest.raises(famlens.ImageError, match="0 to 1"):
        session.embed([np.full((4, 4), 3.0)])
    with pytest.raises(famlens.ArgumentError, match="auto, cpu, gpu"):
        famlens.Session(engine="tpu")
    with pytest.raises(famlens.FileError, match="model.json"):
        famlens.Model(tmp_path)
    with pytest.raises(famlens.ModelError):
        famlens.Model.from_onnx(b"no model", {"input": {"mean": [0, 0, 0], "std": [1, 1, 1]}})
    with pytest.raises(famlens.ArgumentError, match="bird, fish"):
        session.explain(query, classes).overlay("cat")
    assert issubclass(famlens.FileError, OSError) and issubclass(famlens.FileError, famlens.Error)


def test_a_class_may_be_a_vector(session, query, birds, classes):
    """A prototype that NumPy has computed decides as its photos do."""
    vectors = {"bird": session.embed(birds).mean(axis=0), "fish": classes["fish"]}
    from_photos = session.explain(query, classes, form="contrastive")
    from_vectors = session.explain(query, vectors)
    assert from_vectors.form == "contrastive"
    np.testing.assert_allclose(from_vectors.similarities, from_photos.similarities, atol=1e-5)
    np.testing.assert_allclose(from_vectors.maps, from_photos.maps, atol=1e-4)
    with pytest.raises(famlens.ArgumentError, match="7 values, and an embedding 1280"):
        session.explain(query, {"bird": np.ones(7), "fish": classes["fish"]})
    with pytest.raises(famlens.ArgumentError, match="given as a vector"):
        session.explain(query, vectors, form="discriminative")


def test_pairs_checks_and_evaluations(session, birds, photos, tmp_path):
    pair = session.pair(birds[0], birds[1])
    assert pair.a.maps.shape == pair.b.maps.shape == (1, 7, 7)
    a, b = session.embed(birds[:2])
    assert pair.similarity == pytest.approx(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), abs=1e-4)
    check = session.check({"bird": photos / "bird", "hammer": photos / "hammer"})
    assert list(check.columns) == ["image", "class", "predicted", "margin"]
    assert (check["class"] == check["predicted"]).mean() > 0.9
    few = ["--classes", "bird", "--classes", "fish", "--episodes", "5", "--ways", "2", "--against", "1"]
    tables = famlens.evaluate(photos, "--form", "fam", "--only-boxed", *few, out=tmp_path / "report")
    assert isinstance(tables["results"], pandas.DataFrame) and len(tables["results"]) > 0


def test_other_threads_run_meanwhile(session, birds):
    beats, done = [0], threading.Event()

    def beat():
        while not done.is_set():
            beats[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=beat)
    thread.start()
    session.embed([np.full((64 + n, 64), 9 * n, np.uint8) for n in range(12)])
    done.set()
    thread.join()
    assert beats[0] > 5

    # One session answers several threads, one after the other.
    found = [None] * 4

    def embed(at):
        found[at] = session.embed(birds[at % 2])

    threads = [threading.Thread(target=embed, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])


def test_embeddings_of_the_command_line_are_the_same(session, birds, photos, tmp_path):
    import pyarrow.parquet

    out = tmp_path / "e.parquet"
    run("embed", *birds, photos / "LICENSES.tsv", "--out", out, "--engine", "cpu")
    table = pyarrow.parquet.read_table(out)
    made = json.loads(table.schema.metadata[b"famlens"])
    assert made["origin"] == session.origin()
    frame = table.to_pandas()
    assert frame["name"].tolist()[:3] == [str(bird) for bird in birds]
    assert frame["error"].notna().tolist() == [False, False, False, True] and frame["embedding"].isna()[3]
    np.testing.assert_allclose(np.stack(frame["embedding"][:3]), session.embed(birds), atol=1e-5)


def test_figures_are_drawn(explanation):
    import matplotlib

    matplotlib.use("agg")
    figure = explanation.plot()
    assert [axis.get_title().split()[0] for axis in figure.axes] == ["bird", "fish"]
