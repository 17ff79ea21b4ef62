"""Draws the two demo videos with their posters, captions and one illustration.

Everything is generated: shapes by Pillow, a soft tune by sine waves, H.264 and AAC by PyAV. Usage:
python scripts/make_demo_videos.py --font NotoSansCJK-Regular.ttc [--out lti_app/demo/courses]
"""

from __future__ import annotations

import argparse
import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, SCALE, FPS, AUDIO_RATE = 640, 360, 2, 15, 48_000
INK, TEAL, MINT, CREAM = "#24404a", "#2f7f7b", "#e6f1ee", "#fffdf7"
AMBER, CORAL, LEAF, SKY, WOOD, SKIN = "#f2b872", "#e08a6d", "#7fb694", "#cfe5ee", "#c99a6b", "#f6d9bf"

Point = tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """One card of a video: how long (seconds), how to draw it at 0..1 of its time, what the captions say."""

    seconds: float
    draw: Callable[[Canvas, float], None]
    captions: tuple[str, ...]


class Canvas:
    """A picture addressed in video pixels and drawn at twice the size, so that edges come out smooth."""

    def __init__(self, background: str, font: Path) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), background)
        self.pen = ImageDraw.Draw(self.image)
        self.font = font

    def box(self, x: float, y: float, width: float, height: float, fill: str, radius: float = 0) -> None:
        corners = (x * SCALE, y * SCALE, (x + width) * SCALE, (y + height) * SCALE)
        self.pen.rounded_rectangle(corners, radius * SCALE, fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: str) -> None:
        self.pen.ellipse(self.around(x, y, radius), fill=fill)

    def sector(self, x: float, y: float, radius: float, degrees: float, fill: str) -> None:
        self.pen.pieslice(self.around(x, y, radius), -90, -90 + degrees, fill=fill)

    def line(self, points: list[Point], fill: str, width: float) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.pen.line(scaled, fill=fill, width=round(width * SCALE), joint="curve")

    def polygon(self, points: list[Point], fill: str) -> None:
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def text(self, x: float, y: float, words: str, size: int, fill: str = INK) -> None:
        font = chinese_font(self.font, size * SCALE)
        self.pen.text((x * SCALE, y * SCALE), words, font=font, fill=fill, anchor="mm")

    def finished(self) -> Image.Image:
        return self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)

    def around(self, x: float, y: float, radius: float) -> tuple[float, float, float, float]:
        return ((x - radius) * SCALE, (y - radius) * SCALE, (x + radius) * SCALE, (y + radius) * SCALE)


_fonts: dict[tuple[Path, int], ImageFont.FreeTypeFont] = {}


def chinese_font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """The face for simplified Chinese where the file is a collection (name ends in SC), else its first face."""
    if (path, size) not in _fonts:
        faces = [ImageFont.truetype(path, size, index=0)]
        while path.suffix == ".ttc":
            try:
                faces.append(ImageFont.truetype(path, size, index=len(faces)))
            except OSError:
                break
        chinese = [face for face in faces if (face.getname()[0] or "").endswith("SC")]
        _fonts[path, size] = (chinese or faces)[0]
    return _fonts[path, size]


def eased(t: float, start: float = 0.0, end: float = 1.0) -> float:
    """0 before `start`, 1 after `end`, a soft curve between."""
    x = min(1.0, max(0.0, (t - start) / (end - start)))
    return x * x * (3 - 2 * x)


def heading(canvas: Canvas, title: str, subtitle: str = "") -> None:
    canvas.text(320, 52, title, 38)
    if subtitle:
        canvas.text(320, 94, subtitle, 21, TEAL)


def clock(canvas: Canvas, centre: Point, radius: float, degrees: float, fill: str) -> None:
    x, y = centre
    canvas.disc(x, y, radius + 8, TEAL)
    canvas.disc(x, y, radius, CREAM)
    canvas.sector(x, y, radius - 6, degrees, fill)
    for hour in range(12):
        angle = math.radians(hour * 30)
        tip, foot = radius - 4, radius - (16 if hour % 3 == 0 else 10)
        sin, cos = math.sin(angle), -math.cos(angle)
        canvas.line([(x + foot * sin, y + foot * cos), (x + tip * sin, y + tip * cos)], TEAL, 2.5)
    hand = math.radians(degrees)
    canvas.line([(x, y), (x + (radius - 18) * math.sin(hand), y - (radius - 18) * math.cos(hand))], INK, 4)
    canvas.disc(x, y, 6, INK)


def person(canvas: Canvas, x: float, ground: float, height: float, clothes: str) -> None:
    """A simple standing or sitting figure: a head on a bell-shaped body."""
    head = height * 0.2
    top = ground - height + 2 * head
    half = height * 0.29
    canvas.disc(x, top + half, half, clothes)
    canvas.box(x - half, top + half, 2 * half, ground - top - half, clothes)
    canvas.disc(x, ground - height + head, head, SKIN)
    face = ground - height + head
    canvas.pen.pieslice(canvas.around(x, face, head), 180, 360, fill=INK)
    for side in (-1, 1):
        canvas.disc(x + side * head * 0.4, face + head * 0.3, max(1.8, head * 0.09), INK)
    smile = canvas.around(x, face + head * 0.45, head * 0.3)
    canvas.pen.arc(smile, 25, 155, fill=CORAL, width=round(head * 0.1 * SCALE))


def bubble(canvas: Canvas, box: tuple[float, float, float, float], tail: list[Point], words: str) -> None:
    x, y, width, height = box
    canvas.polygon(tail, CREAM)
    canvas.box(x, y, width, height, CREAM, 16)
    canvas.text(x + width / 2, y + height / 2, words, 20)


def open_book(canvas: Canvas, x: float, y: float, half: float, turn: float) -> None:
    """An open book centred on (x, y); `turn` 0..1 moves one page from right to left."""
    height, bend = half * 0.95, half * 0.07
    canvas.box(x - half - 7, y - height / 2 + 6, 2 * half + 14, height + 4, TEAL, 8)
    for side in (-1, 1):
        edge, dip = x + side * half, y - height / 2
        leaf = [(x, dip + bend), (edge, dip), (edge, dip + height), (x, dip + height + bend)]
        canvas.polygon(leaf, CREAM)
        for row in range(5):
            level = y - height * 0.3 + row * height * 0.16
            ends = [(x + side * half * 0.14, level + bend / 2), (x + side * half * 0.84, level)]
            canvas.line(ends, SKY, half * 0.034)
    tip = half * math.cos(math.pi * turn)
    lift = half * 0.28 * math.sin(math.pi * turn)
    dip = y - height / 2
    foot = dip + height
    page = [(x, dip + bend), (x + tip, dip - lift), (x + tip, foot - lift), (x, foot + bend)]
    canvas.polygon(page, "#f7efdd")
    canvas.line([(x, dip + bend), (x, foot + bend)], WOOD, 2)


def reading_title(canvas: Canvas, t: float) -> None:
    heading(canvas, "每天十五分钟", "亲子共读，从一本书开始")
    open_book(canvas, 320, 205, 118, eased(t * 2 % 1.0, 0.15, 0.85))


def reading_clock(canvas: Canvas, t: float) -> None:
    heading(canvas, "固定的一刻钟")
    clock(canvas, (200, 192), 84, 90 * eased(t, 0.1, 0.8), AMBER)
    canvas.text(440, 150, "同一个时间", 27)
    canvas.text(440, 194, "同一个地方", 27)
    canvas.text(440, 238, "手机放在门外", 27, TEAL)


def reading_talk(canvas: Canvas, t: float) -> None:
    heading(canvas, "少考问，多聊天")
    canvas.box(60, 284, 520, 8, WOOD, 4)
    person(canvas, 250, 284, 132, TEAL)
    person(canvas, 376, 284, 100, CORAL)
    open_book(canvas, 316, 264, 46, eased(t, 0.4, 0.6))
    if t > 0.12:
        bubble(canvas, (44, 106, 168, 46), [(178, 148), (202, 148), (222, 172)], "你猜，后来呢？")
    if t > 0.5:
        bubble(canvas, (426, 122, 176, 46), [(440, 164), (464, 164), (406, 196)], "它去找妈妈啦！")


def reading_week(canvas: Canvas, t: float) -> None:
    heading(canvas, "一周读五天，就很好")
    for day, name in enumerate("一二三四五六日"):
        x = 92 + day * 76
        grown = eased(t, 0.08 + day * 0.1, 0.2 + day * 0.1) if day < 5 else 0.0
        canvas.disc(x, 172, 31, CREAM)
        canvas.disc(x, 172, 31 * grown, AMBER)
        canvas.text(x, 171, name, 25)
    canvas.text(320, 252, "漏了一天没关系，明天再翻开", 25, TEAL)


def eye_title(canvas: Canvas, t: float) -> None:
    heading(canvas, "眼睛也要下课", "在家护眼三件小事")
    open_height = 62 * (1 - math.exp(-(((t * 2 % 1.0) - 0.5) ** 2) / 0.004))
    steps = [index / 40 for index in range(41)]
    upper = [(190 + 260 * s, 205 - open_height * math.sin(math.pi * s)) for s in steps]
    lower = [(190 + 260 * s, 205 + open_height * math.sin(math.pi * s)) for s in reversed(steps)]
    if open_height > 6:
        canvas.polygon(upper + lower, CREAM)
        canvas.disc(320, 205, min(44, open_height * 0.9), TEAL)
        canvas.disc(320, 205, min(20, open_height * 0.5), INK)
        canvas.disc(332, 193, min(8, open_height * 0.2), CREAM)
    canvas.line(upper, INK, 5)
    canvas.line(lower, INK, 3)


def eye_posture(canvas: Canvas, t: float) -> None:
    heading(canvas, "一尺、一拳、一寸")
    canvas.box(256, 226, 130, 10, WOOD, 4)
    canvas.box(372, 226, 10, 66, WOOD)
    canvas.box(112, 288, 416, 6, WOOD, 3)
    person(canvas, 196, 288, 158, CORAL)
    canvas.polygon([(216, 196), (226, 184), (312, 212), (308, 224)], SKIN)
    canvas.polygon([(290, 226), (372, 226), (362, 218), (300, 218)], CREAM)
    canvas.line([(306, 222), (322, 190)], INK, 4)
    labels = ("眼离书本一尺", "胸离桌沿一拳", "手离笔尖一寸")
    for row, words in enumerate(labels):
        if t > 0.1 + row * 0.25:
            canvas.box(414, 112 + row * 54, 190, 42, CREAM, 12)
            canvas.text(509, 133 + row * 54, words, 23)
    if t > 0.1:
        canvas.line([(222, 168), (322, 214)], TEAL, 2.5)


def eye_far(canvas: Canvas, t: float) -> None:
    heading(canvas, "看近二十分钟，抬头望远")
    clock(canvas, (168, 192), 78, 120 * eased(t, 0.05, 0.5), AMBER)
    canvas.box(330, 96, 244, 190, WOOD, 10)
    canvas.box(340, 106, 224, 170, SKY)
    canvas.disc(510, 144, 20, AMBER)
    canvas.polygon([(340, 276), (420, 176), (500, 276)], LEAF)
    canvas.polygon([(440, 276), (510, 202), (564, 262), (564, 276)], TEAL)
    canvas.box(448, 106, 8, 170, WOOD)
    if t > 0.55:
        canvas.box(372, 224, 160, 40, CREAM, 12)
        canvas.text(452, 244, "六米外，二十秒", 20)


def eye_outdoor(canvas: Canvas, t: float) -> None:
    heading(canvas, "白天多到户外去", "每天加起来两小时")
    canvas.disc(500, 190 - 60 * eased(t, 0.0, 0.6), 38, AMBER)
    canvas.box(0, 262, WIDTH, HEIGHT - 262, LEAF)
    for x, crown in ((96, 44), (178, 32)):
        canvas.box(x - 6, 200, 12, 66, WOOD)
        canvas.disc(x, 190, crown, TEAL)
    run = 250 + 120 * t
    person(canvas, run, 276 - 10 * abs(math.sin(t * 12)), 92, CORAL)
    canvas.disc(run + 78, 264 - 46 * abs(math.sin(t * 9)), 13, CREAM)


VIDEOS: dict[str, tuple[Scene, ...]] = {
    "shared-reading-15-minutes/media/fifteen-minutes": (
        Scene(4.5, reading_title, ("每天十五分钟，和孩子一起读一本书。",)),
        Scene(5.0, reading_clock, ("挑一个固定的时间，", "手机放到门外，一刻钟就够了。")),
        Scene(5.0, reading_talk, ("读到有趣的地方停一停：", "你猜，后来呢？听孩子说。")),
        Scene(4.5, reading_week, ("一周读五天就很好，", "漏了一天，明天再翻开。")),
    ),
    "bright-eyes-at-home/media/eyes-need-a-break": (
        Scene(4.5, eye_title, ("眼睛也要下课。在家护眼，记住三件小事。",)),
        Scene(5.0, eye_posture, ("第一件，坐端正：", "眼离书一尺，胸离桌一拳，手离笔尖一寸。")),
        Scene(5.0, eye_far, ("第二件，看近二十分钟，", "抬头看六米以外，至少二十秒。")),
        Scene(4.5, eye_outdoor, ("第三件，白天到户外去，", "每天加起来两小时。")),
    ),
}


def frames(scenes: tuple[Scene, ...], font: Path) -> Iterator[Image.Image]:
    """The pictures of a video in order; each card but the first fades in."""
    blank = Image.new("RGB", (WIDTH, HEIGHT), MINT)
    for number, scene in enumerate(scenes):
        total = round(scene.seconds * FPS)
        for index in range(total):
            canvas = Canvas(MINT, font)
            scene.draw(canvas, index / total)
            visible = 1.0 if number == 0 else min(1.0, (index + 1) / (0.4 * FPS))
            yield Image.blend(blank, canvas.finished(), visible)


def tune(seconds: float) -> array[float]:
    """A quiet pentatonic pattern, one note a second, each dying away before the next but one."""
    notes = (261.63, 329.63, 392.0, 440.0, 392.0, 329.63)
    sound = array("f", bytes(4 * round(seconds * AUDIO_RATE)))
    for second in range(int(seconds) - 1):
        pitch, start = notes[second % len(notes)], second * AUDIO_RATE
        for offset in range(min(2 * AUDIO_RATE, len(sound) - start)):
            t = offset / AUDIO_RATE
            envelope = min(1.0, t / 0.02) * math.exp(-2.6 * t)
            sound[start + offset] += 0.09 * envelope * math.sin(2 * math.pi * pitch * t)
    return sound


def encode(path: Path, scenes: tuple[Scene, ...], font: Path) -> None:
    """Writes an MP4 that plays while it loads (index first): H.264 yuv420p and mono AAC."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        # One thread and bit-exact flags: the same input gives the same bytes with the same encoder.
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"crf": "25", "preset": "slow", "tune": "animation", "threads": "1"}
        audio = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        audio.bit_rate = 48_000
        for image in frames(scenes, font):
            container.mux(video.encode(av.VideoFrame.from_image(image)))
        container.mux(video.encode(None))
        for frame in audio_frames(tune(sum(scene.seconds for scene in scenes))):
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def audio_frames(sound: array[float]) -> Iterator[av.AudioFrame]:
    """The samples in the encoder's portions of 1024, the rest of less than one portion dropped."""
    for start in range(0, len(sound) - 1023, 1024):
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(sound[start : start + 1024].tobytes())
        frame.sample_rate, frame.pts = AUDIO_RATE, start
        yield frame


def web_vtt(scenes: tuple[Scene, ...]) -> str:
    """Captions of the cards, each card's time shared equally by its sentences."""
    cues, start = ["WEBVTT"], 0.0
    for scene in scenes:
        share = scene.seconds / len(scene.captions)
        for number, words in enumerate(scene.captions):
            begin, end = start + number * share, start + (number + 1) * share
            cues.append(f"{timestamp(begin)} --> {timestamp(end - 0.1)}\n{words}")
        start += scene.seconds
    return "\n\n".join(cues) + "\n"


def timestamp(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"00:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def save_picture(draw: Callable[[Canvas, float], None], at: float, font: Path, path: Path) -> None:
    """One card as a small PNG."""
    canvas = Canvas(MINT, font)
    draw(canvas, at)
    canvas.finished().quantize(96).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--font", type=Path, required=True, help="a font file with simplified Chinese")
    parser.add_argument("--out", type=Path, default=Path("lti_app/demo/courses"))
    options = parser.parse_args()
    for name, scenes in VIDEOS.items():
        target: Path = options.out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        encode(target.with_suffix(".mp4"), scenes, options.font)
        target.with_suffix(".zh.vtt").write_text(web_vtt(scenes), encoding="utf-8")
        save_picture(scenes[0].draw, 0.18, options.font, target.with_suffix(".png"))
    talk = options.out / "shared-reading-15-minutes/media/talk-while-reading.png"
    save_picture(reading_talk, 0.95, options.font, talk)


if __name__ == "__main__":
    main()
