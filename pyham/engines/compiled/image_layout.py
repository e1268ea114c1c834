"""How the kernels of images go through a network: a plan of its stages, and the memory of a tile.

The layout depends on the shapes of a network and of its images only, so it is made once for many calls.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.stages import Stages
from pyham.engines.compiled import image_kernels as kernels
from pyham.engines.compiled.activations import code_of
from pyham.engines.compiled.image_tiles import FIELDS

Array = np.ndarray[Any, Any]

VECTOR = 64  # bytes: the longest vector of today's processors
IMAGES = 4  # of a tile, at most: enough for register blocks of the last layer, and to fill vectors at low resolution
TAPE = 1 << 20  # bytes of a tile: about what the second-level cache holds; with a longer one, fewer images
LIFTED = 3  # size of the lift's kernels


class ImageForm(NamedTuple):
    """What the layout of a group depends on."""

    stages: int
    r: int
    k: int
    d: int
    size: int
    src: tuple[int, ...]
    dst: tuple[int, ...]
    code: int
    channels: int
    squeeze: bool


class ImageLayout(NamedTuple):
    """How the kernels go through a network, whatever its weights and keep are."""

    space: kernels.Space
    plan: Array
    masks: Array
    forward: int  # numbers of lift, A, c and W; those of the transposed convolutions follow
    work: int  # operations on an image, roughly


def form_of(group: Stages) -> ImageForm:
    count, r, k, size, _ = group.A.shape
    src, dst = (tuple(s.start for s in slices) for slices in (group.src, group.dst))
    names = code_of(group.activation), group.width, group.squeeze
    return ImageForm(count, r, k, group.W.shape[1], size, src, dst, *names)


@lru_cache(maxsize=64)
def layout_of(
    forms: tuple[ImageForm, ...], channels: int, rows: int, columns: int, dtype: np.dtype[Any]
) -> ImageLayout:
    """The plan for tiles of as many images as keep their tape in the cache."""
    for images in range(IMAGES, 0, -1):
        layout = _planned(forms, channels, rows, columns, dtype, images)
        if layout.space.tape * dtype.itemsize <= TAPE:
            break
    return layout


def _planned(
    forms: tuple[ImageForm, ...], channels: int, rows: int, columns: int, dtype: np.dtype[Any], images: int
) -> ImageLayout:
    lanes = VECTOR // dtype.itemsize

    def whole(pixels: int) -> int:
        return -(-images * pixels // lanes) * lanes

    masks = [_masks(rows, columns, LIFTED, images, whole(rows * columns), dtype)]
    found: dict[tuple[int, int, int], int] = {(rows, columns, LIFTED): 0}
    forward = 10 * channels
    back = forward + sum(f.stages * (f.r * f.k * f.size**2 + f.r + f.d * f.r * f.size**2) for f in forms)
    first, H, W, T = back, rows, columns, whole(rows * columns)
    plan, tape, state, inner, gathered, zeros, work = [], 0, channels * T, T, 9 * T, images, rows * columns * 60
    for f in forms:
        if f.squeeze:
            H, W = H // 2, W // 2
            T = whole(H * W)
        entries = f.size**2
        if (H, W, f.size) not in found:
            found[H, W, f.size] = sum(map(len, masks))
            masks.append(_masks(H, W, f.size, images, T, dtype))
        A, c = forward, forward + f.stages * f.r * f.k * entries
        w = c + f.stages * f.r
        A_back, w_back = back, back + f.stages * f.r * f.k * entries
        for s in range(f.stages):
            plan.append([
                f.squeeze and not s, f.channels, f.k, f.r, f.d, f.size, f.src[s % len(f.src)], f.dst[s % len(f.dst)],
                f.code, H, W, T, A + s * f.r * f.k * entries, c + s * f.r,
                w + s * f.d * f.r * entries, A_back + s * f.r * f.k * entries, w_back + s * f.d * f.r * entries,
                found[H, W, f.size], tape,
            ])  # fmt: skip
            tape += (f.k + f.r) * T
        forward = w + f.stages * f.d * f.r * entries
        back = w_back + f.stages * f.d * f.r * entries
        state, inner = max(state, f.channels * T), max(inner, f.r * T)
        gathered, zeros = max(gathered, max(f.k, f.r, f.d) * entries * T), max(zeros, f.r)
        work += f.stages * H * W * f.r * (20 + 3 * (f.k + f.d) * entries)
    guard = max(f.size // 2 for f in (*forms, _LIFT)) * (columns + 1)
    guard = -(-guard // lanes) * lanes
    space = kernels.Space(
        images, rows, columns, whole(rows * columns), channels, guard, state, inner, gathered, tape, zeros
    )
    table = np.array(plan, dtype=np.int64).reshape(-1, FIELDS)
    return ImageLayout(space, table, np.concatenate(masks), first, work)


_LIFT = ImageForm(0, 0, 1, 0, LIFTED, (), (), 0, 0, False)


def _masks(rows: int, columns: int, size: int, images: int, T: int, dtype: np.dtype[Any]) -> Array:
    """1 where a kernel's entry (e, f) sees a pixel of the same image (size**2 T,), else 0."""
    edge = size // 2
    mask = np.zeros((size, size, T), dtype)
    for e in range(size):
        for f in range(size):
            inside = np.zeros((rows, columns))
            v, w = e - edge, f - edge
            inside[max(0, -v) : rows - max(0, v), max(0, -w) : columns - max(0, w)] = 1
            mask[e, f, : images * rows * columns] = np.tile(inside.ravel(), images)
    return mask.ravel()
