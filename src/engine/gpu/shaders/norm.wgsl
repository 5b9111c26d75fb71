// Normalisation by mean and variance over some dimensions (layer, instance and group normalisation): a workgroup for each
// place of the others, in two passes, since the mean square minus the squared mean would cancel. Padding becomes zero.

// Whether one dimension is normalised over, which needs no arithmetic to walk.
override LINE: bool = false;

fn inner_index(t: u32) -> Axes {
  if (LINE) { return Axes(vec4<u32>(0u), vec4<u32>(0u, t, 0u, 0u)); }
  return walk(t, p.inner);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = id.x + id.y * p.row;
  if (line >= p.lines) { return; }
  let i = walk(line, p.outer);
  let start = place(i, p.x_strides);
  let parameter = place(i, p.s_strides);
  let outside = innermost(i) >= p.outer_limit;
  var sum = 0.0;
  if (!outside) {
    for (var n = lane; n < p.count; n += 64u) {
      let at = inner_index(n);
      if (innermost(at) < p.inner_limit) { sum += arena[p.x + start + place(at, p.inner_x)]; }
    }
  }
  let mean = tree_sum(sum, lane) / p.size;
  sum = 0.0;
  if (!outside) {
    for (var n = lane; n < p.count; n += 64u) {
      let at = inner_index(n);
      if (innermost(at) < p.inner_limit) {
        let d = arena[p.x + start + place(at, p.inner_x)] - mean;
        sum += d * d;
      }
    }
  }
  let factor = 1.0 / sqrt(tree_sum(sum, lane) / p.size + p.epsilon);
  for (var n = lane; n < p.count; n += 64u) {
    let at = inner_index(n);
    let cell = start + place(at, p.inner_x);
    var v = 0.0;
    if (!outside && innermost(at) < p.inner_limit) {
      let s = parameter + place(at, p.inner_s);
      v = (arena[p.x + cell] - mean) * factor * arena[p.scale + s] + arena[p.bias + s];
    }
    arena[p.y + cell] = v;
  }
}
