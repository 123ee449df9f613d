"""Measures PyTorch on the shapes of kernels_bench: F32, the best run of half a second each, in GFLOP/s.

    python scripts/bench/kernels_torch.py [threads]
"""
import sys
import time

import torch
import torch.nn.functional as F


def best(run):
    # On one thread, count processor time only, as kernels_bench does.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    run()
    times = []
    while sum(times) < 0.5 or len(times) < 3:
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def report(name, run, flops):
    seconds = best(run)
    print(f'{name:<46} {seconds * 1e3:9.3f} ms {flops / seconds * 1e-9:8.1f} GFLOP/s', flush=True)


def linear(inner, out, tokens):
    x, w, b = torch.randn(tokens, inner), torch.randn(out, inner), torch.randn(out)
    report(f'linear {inner}->{out} x {tokens}', lambda: F.linear(x, w, b), 2 * inner * out * tokens)


def conv(side, inner, out, batch=1):
    x, w, b = torch.randn(batch, inner, side, side), torch.randn(out, inner, 3, 3), torch.randn(out)
    report(f'conv 3x3 {inner}->{out} {side}^2' + (f' x {batch}' if batch > 1 else ''),
           lambda: F.conv2d(x, w, b, padding=1), 18 * inner * out * side * side * batch)


def attention(d, heads, queries, keys):
    q, k, v = (torch.randn(1, heads, n, d) for n in (queries, keys, keys))
    report(f'attention {queries} x {keys}, {heads} heads of {d}',
           lambda: F.scaled_dot_product_attention(q, k, v), 4 * d * heads * queries * keys)


torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
with torch.inference_mode():
    for shape in [(320, 320, 4096), (320, 2560, 4096), (1280, 1280, 256), (1280, 10240, 64), (3072, 12288, 1280)]:
        linear(*shape)
    for shape in [(64, 320, 320), (64, 960, 320), (32, 640, 640), (16, 1280, 1280), (16, 1280, 1280, 2),
                  (8, 1280, 1280, 2), (64, 512, 512), (256, 256, 256), (512, 128, 128)]:
        conv(*shape)
    for shape in [(40, 8, 4096, 4096), (40, 8, 4096, 77), (80, 8, 1024, 1024), (128, 24, 1280, 1280),
                  (512, 1, 4096, 4096)]:
        attention(*shape)
