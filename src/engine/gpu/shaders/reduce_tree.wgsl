// The same for many values each: one workgroup per output value and slice of what is reduced. With more than one slice the
// results are partial, slice by slice for each output value, and another pass reduces those.
var<workgroup> lanes: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = id.x + id.y * p.row;
  if (line >= p.total) { return; }
  let i = walk(line / p.slices, p.dims);
  let inside = innermost(i) < p.limit;
  var v = empty_fold();
  if (inside) {
    let first = p.x + place(i, p.x_strides);
    let start = line % p.slices * p.slice;
    let end = min(start + p.slice, p.count);
    for (var r = start + lane; r < end; r += 64u) {
      v = fold(v, arena[first + place(walk(r, p.inner), p.inner_strides)]);
    }
  }
  lanes[lane] = v;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half /= 2u) {
    if (lane < half) { lanes[lane] = fold(lanes[lane], lanes[lane + half]); }
    workgroupBarrier();
  }
  if (lane == 0u) {
    let at = select(place(i, p.y_strides), line, p.slices > 1u);
    arena[p.y + at] = select(0.0, lanes[0] / p.divisor, inside);
  }
}
