// Matrix product in any layout: one invocation per output value, walked as in strided.wgsl; a and b also have a step
// along the summed dimension. Linear layers whose rows are no multiple of four run here too, with their bias.
// A sum too long for one pass is continued by the next (ACCUMULATE); the last one adds the bias and has the activation.

override BIAS: bool = false;
override ACCUMULATE: bool = false;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let i = walk(t, p.dims);
  let y = p.y + place(i, p.y_strides);
  var v = 0.0;
  if (innermost(i) < p.limit) {
    let a = p.a + place(i, p.a_strides);
    let b = p.b + place(i, p.b_strides);
    if (ACCUMULATE) { v = arena[y]; }
    for (var k = 0u; k < p.count; k++) { v += arena[a + k * p.a_step] * arena[b + k * p.b_step]; }
    if (BIAS) { v += arena[p.c + place(i, p.c_strides)]; }
    v = activate(vec4<f32>(v), p.act_a, p.act_b).x;
  }
  arena[y] = v;
}
