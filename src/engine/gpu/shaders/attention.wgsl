// Scaled dot-product attention, softmax(scale q k^T + mask) v, without the matrix of scores ever in memory: a workgroup takes
// eight query rows of one head and walks over the keys in tiles of 64. For each row it keeps the largest score, the sum of
// the exponentials and the weighted sum of values, and rescales them when a larger score turns up (online softmax: Milakov
// and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). Places are in floats; row-major or by strides.

override MASK: bool = false;

const LEAST: f32 = -3.4e38;

var<workgroup> scores: array<f32, 512>;
var<workgroup> sums: array<vec4<f32>, 512>;
var<workgroup> parts: array<f32, 64>;
var<workgroup> largest: array<f32, 8>;
var<workgroup> totals: array<f32, 8>;
var<workgroup> factors: array<f32, 8>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = id.x + id.y * p.row;
  if (t >= p.total) { return; }
  let first = t % p.blocks * 8u;
  // lead_of written out: with the call, llvmpipe takes a twentieth longer for the whole kernel.
  var rest = t / p.blocks;
  let i3 = rest % p.dims.w; rest /= p.dims.w;
  let i2 = rest % p.dims.z; rest /= p.dims.z;
  let i1 = rest % p.dims.y; rest /= p.dims.y;
  let lead = vec4<u32>(rest, i1, i2, i3);
  let q = p.q + dot(lead, p.q_lead);
  let k = p.k + dot(lead, p.k_lead);
  let v = p.v + dot(lead, p.v_lead);
  let mask = p.mask + dot(lead, p.mask_lead);
  let groups = (p.width + 3u) / 4u;
  let last = p.queries - 1u;
#for r 8
  let row{r} = min(first + {r}u, last);
  let q{r} = q + row{r} * p.q_row;
#end
  for (var i = lane; i < 8u * groups; i += 64u) { sums[i] = vec4<f32>(0.0); }
  if (lane < 8u) {
    largest[lane] = LEAST;
    totals[lane] = 0.0;
  }
  // In the softmax, eight invocations share a row.
  let r = lane / 8u;
  let j = lane % 8u;
  for (var start = 0u; start < p.keys; start += 64u) {
    workgroupBarrier();
    // One key an invocation: its product with each row.
    let key = min(start + lane, p.keys - 1u);
    let inside = start + lane < p.keys;
    let at = k + key * p.k_row;
#for r 8
    var s{r} = 0.0;
#end
    for (var d = 0u; d < p.depth; d += 4u) {
      let x = four(at + d * p.k_step, p.k_step, p.depth - d);
#for r 8
      s{r} += dot(four(q{r} + d * p.q_step, p.q_step, p.depth - d), x);
#end
    }
#for r 8
    s{r} *= p.scale;
    if (MASK) { s{r} += value(mask + row{r} * p.mask_row + key * p.mask_column); }
    // A mask may be minus infinity, of which an implementation may assume that there is none.
    scores[{64*r}u + lane] = select(LEAST, max(s{r}, -3.0e38), inside);
#end
    workgroupBarrier();
    var top = LEAST;
    for (var n = j; n < 64u; n += 8u) { top = max(top, scores[r * 64u + n]); }
    parts[lane] = top;
    workgroupBarrier();
    let old = largest[r];
    top = old;
    for (var n = 0u; n < 8u; n++) { top = max(top, parts[r * 8u + n]); }
    var sum = 0.0;
    for (var n = j; n < 64u; n += 8u) {
      let e = exp(scores[r * 64u + n] - top);
      scores[r * 64u + n] = e;
      sum += e;
    }
    workgroupBarrier();
    parts[lane] = sum;
    workgroupBarrier();
    if (j == 0u) {
      let factor = exp(old - top);
      var all = totals[r] * factor;
      for (var n = 0u; n < 8u; n++) { all += parts[r * 8u + n]; }
      totals[r] = all;
      factors[r] = factor;
      largest[r] = top;
    }
    workgroupBarrier();
    let count = min(64u, p.keys - start);
    for (var i = lane; i < 8u * groups; i += 64u) {
      let line = i / groups;
      let e = i % groups * 4u;
      var sum4 = sums[i] * factors[line];
      var at4 = v + start * p.v_row + e * p.v_step;
      for (var n = 0u; n < count; n++) {
        sum4 += scores[line * 64u + n] * four(at4, p.v_step, p.width - e);
        at4 += p.v_row;
      }
      sums[i] = sum4;
    }
  }
  // Each invocation reads only what it wrote; the totals are behind the last barrier.
  let y = p.y + dot(lead, p.y_lead);
  for (var i = lane; i < 8u * groups; i += 64u) {
    let line = i / groups;
    let e = i % groups * 4u;
    if (first + line < p.queries) {
      put_four(y + (first + line) * p.y_row + e * p.y_step, p.y_step, p.width - e, sums[i] / totals[line]);
    }
  }
}
