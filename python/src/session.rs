//! Sessions. One lives on a thread of its own: Python may call it from any thread, and other threads run meanwhile.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use famlens::image::Photo;
use famlens::session::{Class, EngineChoice, ExplainOptions, ImageId, Request, Session as Inner};
use famlens::{Error, Result};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2};
use pollster::block_on;
use pyo3::prelude::*;

use crate::explanation::Explanation;
use crate::images::{Data, Image};
use crate::model::{Files, Model};
use crate::{raise, raised};

/// An image as Python gives it: what it is called, and what it is.
type Given<'py> = (String, Data<'py>);

/// A class as Python gives it: its name, its images and its vectors.
type GivenClass<'py> = (String, Vec<Given<'py>>, Vec<Vec<f32>>);

/// The same, apart from Python's memory.
type Members = (String, Vec<Image>, Vec<Vec<f32>>);

/// Images that a session keeps, so that a class's photos are embedded once for many queries.
const KEPT: usize = 1024;

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// What lives on the thread.
struct Worker {
    session: Inner,
    /// Images by a hash of name and pixels, with the call that used them last.
    known: HashMap<u64, (ImageId, u64)>,
    calls: u64,
}

/// A model on an engine.
#[pyclass(frozen, module = "famlens._native")]
pub struct Session {
    send: Mutex<Sender<Job>>,
}

#[pymethods]
impl Session {
    #[new]
    fn new(py: Python<'_>, model: &Model, engine: &str) -> PyResult<Self> {
        let choice: EngineChoice = engine.parse().map_err(|error| raised(py, &error))?;
        let files = model.files();
        let (send, jobs) = channel::<Job>();
        let (ready, is_ready) = channel();
        let started = thread::Builder::new().name("famlens".into()).spawn(move || match Worker::new(&files, choice) {
            Ok(mut worker) => {
                _ = ready.send(Ok(()));
                jobs.into_iter().for_each(|job| job(&mut worker));
            }
            Err(error) => _ = ready.send(Err(error)),
        });
        started.map_err(|e| raise(py, "EngineError", &e.to_string()))?;
        let session = Self { send: Mutex::new(send) };
        wait(py, is_ready)?;
        Ok(session)
    }

    /// Decides which class an image is like, and explains it for each; `options` are JSON.
    fn explain(
        &self,
        py: Python<'_>,
        query: Given<'_>,
        classes: Vec<GivenClass<'_>>,
        options: Option<String>,
    ) -> PyResult<Explanation> {
        let (query, classes) = (image(py, query)?, images(py, classes)?);
        self.call(py, move |worker| worker.explain(query, classes, options.as_deref()))
    }

    /// What makes two images alike, on both sides, and their similarity.
    fn pair(
        &self,
        py: Python<'_>,
        a: Given<'_>,
        b: Given<'_>,
        options: String,
    ) -> PyResult<(Explanation, Explanation, f64)> {
        let sides = [image(py, a)?, image(py, b)?];
        self.call(py, move |worker| worker.pair(sides, &options))
    }

    /// The embeddings of images, one row each.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        given: Vec<Given<'_>>,
        options: String,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let given = given.into_iter().map(|given| image(py, given)).collect::<PyResult<Vec<_>>>()?;
        let rows = self.call(py, move |worker| worker.embed(given, &options))?;
        Ok(rows.into_pyarray(py))
    }

    /// Takes each support out in turn and lets the others decide about it, as JSON.
    fn check(
        &self,
        py: Python<'_>,
        classes: Vec<GivenClass<'_>>,
        options: Option<String>,
    ) -> PyResult<String> {
        let classes = images(py, classes)?;
        self.call(py, move |worker| worker.check(classes, options.as_deref()))
    }

    /// What makes the embeddings of these options, as JSON.
    fn origin(&self, py: Python<'_>, options: String) -> PyResult<String> {
        self.call(py, move |worker| {
            let origin = worker.session.origin(&ExplainOptions::from_json(&options)?)?;
            serde_json::to_string(&origin).map_err(|e| Error::argument("origin", e.to_string()))
        })
    }

    /// The engine that runs.
    fn engine(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py, |worker| Ok(worker.session.engine().name().to_owned()))
    }
}

impl Session {
    /// Runs work on the session's thread. Python's other threads go on, and a keyboard interrupt ends the waiting.
    fn call<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Worker) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let (answer, answered) = channel();
        let job: Job = Box::new(move |worker| {
            worker.calls += 1;
            _ = answer.send(work(worker));
            worker.let_go();
        });
        let gone = || raise(py, "EngineError", "the session has ended; make another one");
        self.send.lock().unwrap_or_else(PoisonError::into_inner).send(job).map_err(|_| gone())?;
        wait(py, answered)
    }
}

fn wait<T: Send>(py: Python<'_>, mut answered: std::sync::mpsc::Receiver<Result<T>>) -> PyResult<T> {
    loop {
        let (back, answer) = py.detach(move || {
            let answer = answered.recv_timeout(Duration::from_millis(100));
            (answered, answer)
        });
        answered = back;
        match answer {
            Ok(answer) => return answer.map_err(|error| raised(py, &error)),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(raise(py, "EngineError", "the session has ended; make another one"));
            }
        }
    }
}

fn image(py: Python<'_>, (name, data): Given<'_>) -> PyResult<Image> {
    Image::new(name, data).map_err(|error| raised(py, &error))
}

fn images(py: Python<'_>, classes: Vec<GivenClass<'_>>) -> PyResult<Vec<Members>> {
    let class = |(name, given, vectors): GivenClass<'_>| {
        Ok((name, given.into_iter().map(|given| image(py, given)).collect::<PyResult<Vec<_>>>()?, vectors))
    };
    classes.into_iter().map(class).collect()
}

impl Worker {
    fn new(files: &Files, choice: EngineChoice) -> Result<Self> {
        let session = block_on(Inner::new(files.model()?, choice))?;
        Ok(Self { session, known: HashMap::new(), calls: 0 })
    }

    fn add(&mut self, image: Image) -> Result<(ImageId, Photo)> {
        let name = image.name.clone();
        let photo = image.photo()?;
        let mut hasher = DefaultHasher::new();
        (&name, photo.size(), photo.rgb()).hash(&mut hasher);
        let key = hasher.finish();
        let id = match self.known.get(&key) {
            Some((id, _)) => *id,
            None => self.session.add_image(&name, &photo)?,
        };
        self.known.insert(key, (id, self.calls));
        Ok((id, photo))
    }

    fn classes(&mut self, classes: Vec<Members>) -> Result<Vec<Class>> {
        let mut added = Vec::with_capacity(classes.len());
        for (name, images, vectors) in classes {
            let supports = images.into_iter().map(|image| Ok(self.add(image)?.0)).collect::<Result<Vec<_>>>()?;
            added.push(Class { name, supports, vectors: vectors.into_iter().map(Into::into).collect() });
        }
        Ok(added)
    }

    /// The options of JSON, with the form that page and module begin with if none is named.
    fn options(&self, json: Option<&str>, classes: &[Class]) -> Result<ExplainOptions> {
        let mut options = ExplainOptions::from_json(json.unwrap_or("{}"))?;
        if !json.unwrap_or_default().contains("\"form\"") {
            options.form = self.session.usual_form_among(classes, &options);
        }
        Ok(options)
    }

    fn explain(
        &mut self,
        query: Image,
        classes: Vec<Members>,
        options: Option<&str>,
    ) -> Result<Explanation> {
        let classes = self.classes(classes)?;
        let options = self.options(options, &classes)?;
        let (id, photo) = self.add(query)?;
        // Another call's images teach nothing here.
        let supports: Vec<ImageId> = classes.iter().flat_map(|class| class.supports.iter().copied()).collect();
        let request = Request::new(id, &classes, &options).learning_from(&supports);
        Ok(Explanation::new(block_on(self.session.explain_request(&request))?, Arc::new(photo)))
    }

    fn pair(&mut self, [a, b]: [Image; 2], options: &str) -> Result<(Explanation, Explanation, f64)> {
        let options = ExplainOptions::from_json(options)?;
        let ((a, of_a), (b, of_b)) = (self.add(a)?, self.add(b)?);
        let pair = block_on(self.session.pair(a, b, &options))?;
        let similarity = pair.similarity();
        let sides = (Explanation::new(pair.a, Arc::new(of_a)), Explanation::new(pair.b, Arc::new(of_b)));
        Ok((sides.0, sides.1, similarity))
    }

    fn embed(&mut self, images: Vec<Image>, options: &str) -> Result<Array2<f32>> {
        let options = ExplainOptions::from_json(options)?;
        let origin = self.session.origin(&options)?;
        let (mut values, rows) = (Vec::with_capacity(images.len() * origin.channels), images.len());
        for image in images {
            let id = self.session.add_image(&image.name.clone(), &image.photo()?)?;
            let embedding = block_on(self.session.gallery_embedding(id, &origin));
            self.session.remove_image(id);
            values.extend_from_slice(&embedding?);
        }
        Array2::from_shape_vec((rows, origin.channels), values).map_err(|e| Error::argument("images", e.to_string()))
    }

    fn check(&mut self, classes: Vec<Members>, options: Option<&str>) -> Result<String> {
        let classes = self.classes(classes)?;
        let options = self.options(options, &classes)?;
        let check = block_on(self.session.check_supports(&classes, &options))?;
        serde_json::to_string(&check).map_err(|e| Error::argument("check", e.to_string()))
    }

    /// Forgets the images that were not used for longest, if there are too many.
    fn let_go(&mut self) {
        if self.known.len() <= KEPT {
            return;
        }
        let mut ages: Vec<(u64, u64)> = self.known.iter().map(|(key, (_, call))| (*call, *key)).collect();
        ages.sort_unstable();
        for (call, key) in ages.into_iter().take(self.known.len() - KEPT) {
            if call < self.calls
                && let Some((id, _)) = self.known.remove(&key)
            {
                self.session.remove_image(id);
            }
        }
    }
}
