// Depthwise convolution with a kernel KW cells wide, horizontal stride SX and no horizontal dilation: one invocation
// computes TX neighbouring pixels of TY lines of four channels, so that a loaded cell serves every pixel whose window
// holds it. Two lines go only with a vertical stride and dilation of 1, where the second line meets each row of weights
// one row of cells after the first (LATER is TY - 1). With TX = TY = KW = 1 the horizontal taps become a loop, which
// takes any kernel width and dilation.

// The four channels' weights of one tap.
fn tap_weights(tap: u32) -> vec4<f32> {
  if (INT8) { return int8_weights(weights[p.weights + tap / 4u][tap % 4u]); }
  return float_weights(p.weights + tap);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x + id.y * p.row;
  let c = t % p.groups;
  let tile = t / p.groups;
  let oy = tile / p.tiles * {TY}u;
  if (oy >= p.window.out_h) { return; }
  let ox = tile % p.tiles * {TX}u;
  let left = i32(ox) * p.window.stride_w - p.window.pad_left;
#for r TY
#for i TX
  var sum{r}_{i} = vec4<f32>(0.0);
#end
#end
#for r LATER
#for k KW
  var w{r+1}_{k} = vec4<f32>(0.0);
#end
#end
  var tap = c;
  for (var ky = 0; ky < p.window.kernel_h + {LATER}; ky++) {
    let iy = i32(oy) * p.window.stride_h - p.window.pad_top + ky * p.window.dilation_h;
    let in_y = iy >= 0 && iy < p.window.in_h;
    let line = p.x + select(0u, u32(iy * p.window.in_w) * p.groups, in_y) + c;
    for (var kx = 0; kx < p.window.kernel_w; kx += {KW}) {
#for n COLS
      let x{n} = left + kx * p.window.dilation_w + {n};
      let in{n} = in_y && x{n} >= 0 && x{n} < p.window.in_w;
      let v{n} = select(vec4<f32>(0.0), arena[line + select(0u, u32(x{n}) * p.groups, in{n})], in{n});
#end
#for k KW
      var w0_{k} = tap_weights(tap + {k}u * p.groups);
#end
#for r LATER
      // One row of cells after the kernel's last: only the second line has weights for it.
      if (ky == p.window.kernel_h) {
#for k KW
        w0_{k} = vec4<f32>(0.0);
#end
      }
#end
#for r TY
#for k KW
#for i TX
      sum{r}_{i} += w{r}_{k} * v{i*SX+k};
#end
#end
#end
#for r LATER
#for k KW
      w{r+1}_{k} = w{r}_{k};
#end
#end
      tap += {KW}u * p.groups;
    }
  }
  let bias = float_weights(p.end.bias + c);
  var scale = vec4<f32>(1.0);
  if (INT8) { scale = float_weights(p.end.scale + c) * weight_lanes(); }
#for r TY
#for i TX
  if (oy + {r}u < p.window.out_h && ox + {i}u < p.window.out_w) {
    finish(sum{r}_{i} * scale, bias, ((oy + {r}u) * p.window.out_w + ox + {i}u) * p.groups + c, c);
  }
#end
#end
}
