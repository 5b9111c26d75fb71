// The general way: out[i] = op(a[..], b[..]) over up to six dimensions in the order of the output's memory, every
// operand with its own strides (0 broadcasts, permuted ones transpose, a layout is converted by giving both layouts).
// In the last dimension, indices from `limit` on are channel padding and become zero.

override PAD: bool = false;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let i = walk(t, p.dims);
  var v = 0.0;
  if (innermost(i) < p.limit) {
    if (PAD) {
      // Unsigned: an index before the start wraps round to a large one.
      let from_start = Axes(i.lo - p.before.lo, i.hi - p.before.hi);
      v = p.outside;
      if (all(from_start.lo < p.size.lo) && all(from_start.hi < p.size.hi)) {
        v = arena[p.a + place(from_start, p.a_strides)];
      }
    } else if (OP == OP_PICK) {
      // The operand at the index that the other lists.
      v = arena[p.a + place(i, p.a_strides) + u32(arena[p.b + place(i, p.b_strides)]) * p.pick_stride];
    } else {
      v = arena[p.a + place(i, p.a_strides)];
      if (OP != OP_NONE) { v = combine(vec4<f32>(v), vec4<f32>(arena[p.b + place(i, p.b_strides)])).x; }
    }
  }
  arena[p.y + place(i, p.y_strides)] = v;
}
