// Copies four values at a time, where a group of four is one in both operands: parts, joins and reordered outer dimensions.
// Iterated as in strided.wgsl; places and strides in groups of four.
struct Params {
  a: u32, y: u32, total: u32, row: u32,
  dims0: vec4<u32>, dims1: vec4<u32>,
  a0: vec4<u32>, a1: vec4<u32>,
  y0: vec4<u32>, y1: vec4<u32>,
}

override WG: u32 = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  var rest = t;
  let i5 = rest % p.dims1.y; rest /= p.dims1.y;
  let i4 = rest % p.dims1.x; rest /= p.dims1.x;
  let i3 = rest % p.dims0.w; rest /= p.dims0.w;
  let i2 = rest % p.dims0.z; rest /= p.dims0.z;
  let i1 = rest % p.dims0.y; rest /= p.dims0.y;
  let lo = vec4<u32>(rest, i1, i2, i3);
  let hi = vec4<u32>(i4, i5, 0u, 0u);
  arena[p.y + dot(lo, p.y0) + dot(hi, p.y1)] = arena[p.a + dot(lo, p.a0) + dot(hi, p.a1)];
}
