// Softmax along one long axis: a workgroup walks the axis at one place of the other dimensions.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let i = walk(t, p.dims);
  let x = p.x + place(i, p.x_strides);
  let y = p.y + place(i, p.y_strides);
  let inside = innermost(i) < p.limit;
  var top = -3.4e38;
  for (var n = lane; n < p.count; n += 64u) { top = max(top, arena[x + n * p.x_step]); }
  top = tree_max(top, lane);
  var sum = 0.0;
  for (var n = lane; n < p.count; n += 64u) { sum += exp(arena[x + n * p.x_step] - top); }
  sum = tree_sum(sum, lane);
  for (var n = lane; n < p.padded; n += 64u) {
    var v = 0.0;
    if (inside && n < p.count) { v = exp(arena[x + n * p.x_step] - top) / sum; }
    arena[y + n * p.y_step] = v;
  }
}
