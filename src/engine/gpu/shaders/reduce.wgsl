// Mean, sum, maximum, minimum or product over some dimensions: one invocation per output value. The output is iterated as in
// strided.wgsl; the reduced dimensions r are walked inside.
struct Params {
  a: u32, y: u32, total: u32, row: u32,
  limit: u32, count: u32, unused0: u32, unused1: u32,
  dims0: vec4<u32>, dims1: vec4<u32>,
  a0: vec4<u32>, a1: vec4<u32>,
  y0: vec4<u32>, y1: vec4<u32>,
  r_dims0: vec4<u32>, r_dims1: vec4<u32>,
  r0: vec4<u32>, r1: vec4<u32>,
}

// 0: mean, 1: sum, 2: max, 3: min, 4: product
override KIND: u32 = 0u;
override WG: u32 = 64u;

struct Index { lo: vec4<u32>, hi: vec4<u32> }

fn index_of(t: u32, dims0: vec4<u32>, dims1: vec4<u32>) -> Index {
  var rest = t;
  let i5 = rest % dims1.y; rest /= dims1.y;
  let i4 = rest % dims1.x; rest /= dims1.x;
  let i3 = rest % dims0.w; rest /= dims0.w;
  let i2 = rest % dims0.z; rest /= dims0.z;
  let i1 = rest % dims0.y; rest /= dims0.y;
  return Index(vec4<u32>(rest, i1, i2, i3), vec4<u32>(i4, i5, 0u, 0u));
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let i = index_of(t, p.dims0, p.dims1);
  var v = 0.0;
  if (KIND == 2u) { v = -3.4e38; }
  if (KIND == 3u) { v = 3.4e38; }
  if (KIND == 4u) { v = 1.0; }
  if (i.hi.y < p.limit) {
    let first = p.a + dot(i.lo, p.a0) + dot(i.hi, p.a1);
    for (var r = 0u; r < p.count; r++) {
      let j = index_of(r, p.r_dims0, p.r_dims1);
      let x = arena[first + dot(j.lo, p.r0) + dot(j.hi, p.r1)];
      if (KIND == 2u) { v = max(v, x); }
      if (KIND == 3u) { v = min(v, x); }
      if (KIND == 4u) { v *= x; }
      if (KIND < 2u) { v += x; }
    }
    if (KIND == 0u) { v /= f32(p.count); }
  } else {
    v = 0.0;
  }
  arena[p.y + dot(i.lo, p.y0) + dot(i.hi, p.y1)] = v;
}
