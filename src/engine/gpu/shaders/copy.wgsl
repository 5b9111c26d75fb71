// Copies four values at a time, where a group of four is one in both operands: parts, joins and reordered outer dimensions.
// Walked as in strided.wgsl; places and strides in groups of four.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let i = walk(t, p.dims);
  arena[p.y + place(i, p.y_strides)] = arena[p.a + place(i, p.a_strides)];
}
