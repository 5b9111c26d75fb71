//! `If` and `Loop`, as far as it is known which branch is taken and how many rounds there are.

use std::sync::Arc;

use super::super::budget::MAX_NODES;
use super::super::control::Taken;
use super::super::data::{Array, Data};
use super::super::proto::NodeProto;
use super::{Context, Lowered, Lowering, Stop, is_supported, unsupported, wrong};
use crate::graph::Op;
use crate::tensor::Shape;

/// No loop has more rounds.
const MAX_ROUNDS: i64 = 1024;

/// A whole number or a truth value as a constant.
fn number(value: i64) -> Data {
    Data::Ints(Arc::new(Array { shape: Vec::new(), data: vec![value] }))
}

impl<'m> Lowering<'m> {
    fn at(&self, name: &str) -> Option<Data> {
        self.values.get(name).or_else(|| self.model.known(name)).cloned()
    }

    /// The outputs of an `If` whose condition is known: those of one branch, which is lowered in its place.
    pub(super) fn choose(&mut self, node: &'m NodeProto) -> Lowered<Vec<Data>> {
        let holds = match node.input.first().and_then(|n| self.at(n)) {
            Some(Data::Ints(a)) if a.data.len() == 1 => a.data[0] != 0,
            Some(Data::Broken(_)) => return Err(Stop::Broken),
            _ => return unsupported("its condition depends on the image"),
        };
        let branches = node.output.first().and_then(|o| self.model.choice(o));
        let Some(taken) = branches.and_then(|both| both.get(usize::from(!holds))) else {
            return unsupported("it has no branches");
        };
        self.inside(taken)?;
        let mut results = Vec::with_capacity(taken.outputs.len());
        for (inner, outer) in taken.outputs.iter().zip(&node.output) {
            let data = self.at(inner).ok_or_else(|| Stop::Wrong(format!("nothing gives its output {outer:?}")))?;
            let made_here = taken.nodes.iter().any(|n| n.output.contains(inner));
            if let (&Data::Active(id), true) = (&data, made_here) {
                self.graph.values[id.0].name.clone_from(outer);
            }
            results.push(data);
        }
        Ok(results)
    }

    /// The outputs of a `Loop` whose number of rounds is known: its body, written out as often.
    pub(super) fn repeat(&mut self, node: &'m NodeProto) -> Lowered<Vec<Data>> {
        let given = |this: &Self, i: usize| match node.input.get(i).filter(|n| !n.is_empty()) {
            None => Ok(None),
            Some(name) => match this.at(name) {
                Some(Data::Ints(a)) if a.data.len() == 1 => Ok(Some(a.data[0])),
                Some(Data::Broken(_)) => Err(Stop::Broken),
                _ => unsupported("how often it repeats depends on the image"),
            },
        };
        let (most, mut goes_on) = (given(self, 0)?.unwrap_or(i64::MAX), given(self, 1)?.unwrap_or(1) != 0);
        let body = node.output.first().and_then(|o| self.model.choice(o)).and_then(<[Taken]>::first);
        let Some(body) = body.filter(|b| b.inputs.len() >= 2 && b.outputs.len() + 1 >= b.inputs.len()) else {
            return unsupported("it has no body");
        };
        let carried_count = body.inputs.len() - 2;
        let mut carried = Vec::with_capacity(carried_count);
        for name in node.input.iter().skip(2).take(carried_count) {
            match self.at(name) {
                Some(Data::Broken(_)) | None => return Err(Stop::Broken),
                Some(data) => carried.push(data),
            }
        }
        if carried.len() != carried_count {
            return wrong(format!("its body carries {carried_count} values, and it is given {}", carried.len()));
        }
        let mut collected: Vec<Vec<Data>> = vec![Vec::new(); body.outputs.len() - 1 - carried_count];
        let mut round = 0;
        while goes_on && round < most {
            if round == MAX_ROUNDS || self.graph.nodes.len() > MAX_NODES {
                return unsupported(format!("it has more than {round} rounds, or too many nodes in them"));
            }
            let own = [number(round), number(1)].into_iter().chain(carried.iter().cloned());
            self.values.extend(body.inputs.iter().map(String::as_str).zip(own));
            let (values, nodes) = (self.graph.values.len(), self.graph.nodes.len());
            self.inside(body)?;
            let names = self.graph.values[values..].iter_mut().filter(|v| v.constant.is_none()).map(|v| &mut v.name);
            for name in names.chain(self.graph.nodes[nodes..].iter_mut().map(|n| &mut n.name)) {
                name.push_str(&format!("/round{round}"));
            }
            let mut outputs = Vec::with_capacity(body.outputs.len());
            for name in &body.outputs {
                outputs.push(self.at(name).ok_or_else(|| Stop::Wrong(format!("nothing gives {name:?} in its body")))?);
            }
            goes_on = match &outputs[0] {
                Data::Ints(a) if a.data.len() == 1 => a.data[0] != 0,
                _ => return unsupported("when it ends depends on the image"),
            };
            let mut rest = outputs.into_iter().skip(1);
            carried = rest.by_ref().take(carried_count).collect();
            collected.iter_mut().zip(rest).for_each(|(all, one)| all.push(one));
            round += 1;
        }
        let mut context = Context { lowering: self, node, step: None };
        let mut results = Vec::with_capacity(node.output.len());
        for (i, data) in carried.iter().enumerate() {
            let name = node.output.get(i).is_some_and(|o| !o.is_empty());
            results.push(match data {
                Data::Active(_) if name => {
                    let shape = context.shape(data)?;
                    context.emit_output(i, Op::Reshape(shape), &[data])?
                }
                other => other.clone(),
            });
        }
        for parts in collected {
            let i = results.len();
            results.push(stacked(&mut context, i, &parts)?);
        }
        Ok(results)
    }

    /// Lowers the nodes of a branch or of a round.
    fn inside(&mut self, taken: &'m Taken) -> Lowered<()> {
        for inner in &taken.nodes {
            let results = match is_supported(inner).map_err(|n| Stop::Unsupported(n.reason)) {
                Ok(()) => self.node(inner),
                Err(stop) => Err(stop),
            };
            let results = results.map_err(|stop| match stop {
                Stop::Unsupported(why) => Stop::Unsupported(format!("in it {} ({why})", inner.full_type())),
                Stop::Wrong(why) => Stop::Wrong(format!("in it {}: {why}", inner.full_type())),
                other => other,
            })?;
            self.values.extend(inner.output.iter().map(String::as_str).zip(results));
        }
        Ok(())
    }
}

/// What the rounds of a loop gave, one after the other along a new first axis.
fn stacked(c: &mut Context<'_, '_>, output: usize, parts: &[Data]) -> Lowered<Data> {
    let Some(first) = parts.first() else { return unsupported("it has no rounds, and something reads their results") };
    let whole: Option<Vec<i64>> = parts.iter().try_fold(Vec::new(), |mut all, part| match part {
        Data::Ints(a) => {
            all.extend(&a.data);
            Some(all)
        }
        _ => None,
    });
    let shape = c.shape(first)?;
    if let Some(data) = whole {
        let dims = [&[parts.len()], shape.dims()].concat();
        return match Shape::new(dims.as_slice()).len() == data.len() {
            true => Ok(Data::Ints(Arc::new(Array { shape: dims, data }))),
            false => wrong("its rounds give values of different shapes"),
        };
    }
    let one = Op::Reshape(Shape::new([&[1], shape.dims()].concat()));
    let rows =
        parts.iter().enumerate().map(|(i, part)| c.emit_step(&format!("collected{output}/{i}"), one.clone(), &[part]));
    let rows = rows.collect::<Lowered<Vec<_>>>()?;
    c.emit_output(output, Op::Concat { axis: 0 }, &rows.iter().collect::<Vec<_>>())
}
