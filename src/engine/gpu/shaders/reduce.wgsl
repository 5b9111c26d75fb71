// Sum, maximum, minimum or product over some dimensions: one invocation per output value, for few values each. The output is
// walked in the order of its memory; the reduced dimensions are walked inside.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let i = walk(t, p.dims);
  var v = 0.0;
  if (innermost(i) < p.limit) {
    v = empty_fold();
    let first = p.x + place(i, p.x_strides);
    for (var r = 0u; r < p.count; r++) { v = fold(v, arena[first + place(walk(r, p.inner), p.inner_strides)]); }
    v /= p.divisor;
  }
  arena[p.y + place(i, p.y_strides)] = v;
}
