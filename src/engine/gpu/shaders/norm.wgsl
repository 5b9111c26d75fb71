// Normalisation by mean and variance over some dimensions (layer, instance and group normalisation): a workgroup for each
// place of the others, in two passes, since the mean square minus the squared mean would cancel. Padding becomes zero.
struct Params {
  x: u32, y: u32, scale: u32, bias: u32,
  lines: u32, row: u32, count: u32, outer_limit: u32,
  inner_limit: u32, size: f32, epsilon: f32, unused: u32,
  outer0: vec4<u32>, outer1: vec4<u32>,
  x0: vec4<u32>, x1: vec4<u32>,
  s0: vec4<u32>, s1: vec4<u32>,
  inner0: vec4<u32>, inner1: vec4<u32>,
  inner_x0: vec4<u32>, inner_x1: vec4<u32>,
  inner_s0: vec4<u32>, inner_s1: vec4<u32>,
}

// Whether one dimension is normalised over, which needs no arithmetic to walk.
override LINE: bool = false;

var<workgroup> sums: array<f32, 64>;

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

fn inner_index(t: u32) -> Index {
  if (LINE) { return Index(vec4<u32>(0u), vec4<u32>(0u, t, 0u, 0u)); }
  return index_of(t, p.inner0, p.inner1);
}

// The sum over the workgroup, the same for all of it.
fn total(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  sums[lane] = value;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half /= 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let line = id.x + id.y * p.row;
  if (line >= p.lines) { return; }
  let i = index_of(line, p.outer0, p.outer1);
  let place = dot(i.lo, p.x0) + dot(i.hi, p.x1);
  let parameter = dot(i.lo, p.s0) + dot(i.hi, p.s1);
  let outside = i.hi.y >= p.outer_limit;
  var sum = 0.0;
  if (!outside) {
    for (var n = lane; n < p.count; n += 64u) {
      let at = inner_index(n);
      if (at.hi.y < p.inner_limit) { sum += arena[p.x + place + dot(at.lo, p.inner_x0) + dot(at.hi, p.inner_x1)]; }
    }
  }
  let mean = total(sum, lane) / p.size;
  sum = 0.0;
  if (!outside) {
    for (var n = lane; n < p.count; n += 64u) {
      let at = inner_index(n);
      if (at.hi.y < p.inner_limit) {
        let d = arena[p.x + place + dot(at.lo, p.inner_x0) + dot(at.hi, p.inner_x1)] - mean;
        sum += d * d;
      }
    }
  }
  let factor = 1.0 / sqrt(total(sum, lane) / p.size + p.epsilon);
  for (var n = lane; n < p.count; n += 64u) {
    let at = inner_index(n);
    let cell = place + dot(at.lo, p.inner_x0) + dot(at.hi, p.inner_x1);
    var v = 0.0;
    if (!outside && at.hi.y < p.inner_limit) {
      let s = parameter + dot(at.lo, p.inner_s0) + dot(at.hi, p.inner_s1);
      v = (arena[p.x + cell] - mean) * factor * arena[p.scale + s] + arena[p.bias + s];
    }
    arena[p.y + cell] = v;
  }
}
