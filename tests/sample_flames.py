"""Profiles with stacks for tests of the flame graph: a shop, one 200 frames deep, hostile names."""

from __future__ import annotations

from msgspec.structs import replace

from perftui.snapshot import Place, ProfiledThread, Stack, Stacks, TopCalls

SITE = "/srv/venv/lib/python3.11/site-packages/"
STANDARD = "/usr/lib/python3.11/"
FILES = {
    "shop": "/srv/app/shop/price.py",
    "main": "/srv/app/main.py",
    "tax": "/srv/app/shop/tax.py",
    "redis": SITE + "redis/client.py",
    "connection": SITE + "redis/connection.py",
    "starlette": SITE + "starlette/routing.py",
    "json": STANDARD + "json/decoder.py",
    "asyncio": STANDARD + "asyncio/base_events.py",
    "threading": STANDARD + "threading.py",
    "c": "/lib/x86_64-linux-gnu/libc.so.6",
}
SERVE = "main.<module>:40 asyncio.run:190 asyncio.run_forever:607 asyncio._run_once:1922 "
ROUTE = SERVE + "starlette.app:734 starlette.handle:288 main.checkout:21 "
STACKS = (
    (0, ROUTE + "shop.price_for:88", 0.92),
    (0, ROUTE + "shop.price_for:90 shop.rounded:12", 0.31),
    (0, ROUTE + "shop.price_for:91 tax.rate_of:7 tax.region:31", 0.42),
    (0, ROUTE + "shop.price_for:93 redis.get:2200 redis.execute_command:1260 "
        "connection.read_response:512 connection.can_read:80", 0.36),
    (0, ROUTE + "shop.price_for:93 redis.get:2200 redis.execute_command:1262 "
        "connection.send_packed_command:440 c.__send:0", 0.17),
    (0, ROUTE + "json.decode:337 json.raw_decode:353", 0.63),
    (0, ROUTE + "json.decode:340", 0.08),
    (0, ROUTE + "main.log:60", 0.02),
    (0, ROUTE + "main.trace:66", 0.011),
    (0, SERVE + "asyncio.select:450", 0.12),
    (0, SERVE + "starlette.lifespan:590", 0.01),
    (1, "threading._bootstrap:1002 threading.run:982 shop.refresh:140 redis.mget:2300 "
        "connection.read_response:512", 0.44),
    (1, "threading._bootstrap:1002 threading.run:982 shop.refresh:141 shop.rounded:12", 0.19),
)  # fmt: skip


def shop_profile(factor: float = 1.0) -> TopCalls:
    """Return a web shop over 5 s; `factor` makes the time of its own price_for larger."""
    numbers: dict[Place, int] = {}
    stacks = []
    for thread, text, seconds in STACKS:
        frames = []
        for frame in text.split():
            file, _, rest = frame.partition(".")
            function, _, line = rest.rpartition(":")
            frames.append(numbers.setdefault(Place(function, FILES[file], int(line)), len(numbers)))
        spent = seconds * (factor if text.endswith(":88") else 1.0)
        stacks.append(Stack(thread, tuple(frames), spent, max(1, round(spent * 100))))
    return profile_of(tuple(numbers), tuple(stacks))


def deep_profile(depth: int = 200) -> TopCalls:
    """Return a recursion that becomes narrower on its way down."""
    places = (
        Place("<module>", FILES["main"], 3),
        Place("walk", FILES["shop"], 10),
        Place("visit", FILES["tax"], 20),
        Place("leave", FILES["tax"], 30),
    )
    path: tuple[int, ...] = (0,)
    stacks = []
    for level in range(depth - 1):
        path = (*path, 1 if level % 2 else 2)
        if level % 10 == 9:
            stacks.append(Stack(0, (*path, 3), 0.05, 5))
    stacks.append(Stack(0, path, 2.0, 200))
    return profile_of(places, tuple(stacks))


def hostile_profile() -> TopCalls:
    """Return names that try to break out of their frames."""
    names = (
        "[bold]x[/]",
        "new\nline;semi",
        "\x1b[31mred\x1b[0m",
        "价格计算",
        "\u202etfel",
        "",
        "e\u0301",
    )
    places = (Place("<module>", FILES["main"], 1), *(
        Place(name, f"/srv/[red]/{name}.py", number) for number, name in enumerate(names)
    ))  # fmt: skip
    return profile_of(
        places, tuple(Stack(0, (0, n + 1), 0.2 + n / 10, 20) for n in range(len(names)))
    )


def profile_of(places: tuple[Place, ...], stacks: tuple[Stack, ...]) -> TopCalls:
    """Return a profile of pid 4711 made of these stacks."""
    seconds = sum(stack.seconds for stack in stacks)
    return TopCalls(
        pid=4711,
        command="gunicorn: worker [shop]",
        python="3.11.7",
        calls=(),
        window=5.0,
        samples=sum(stack.samples for stack in stacks),
        errors=0,
        cores=seconds / 5,
        mode="exact",
        rate_wanted=100.0,
        rate_reached=98.0,
        coverage_percent=96.0,
        pause_percent=1.6,
        seconds=seconds,
        threads=(
            ProfiledThread(4711, 4711, "MainThread", 0.6, 300),
            ProfiledThread(4711, 4712, "price-refresh", 0.1, 60),
        ),
        processes=(4711,),
        stacks=Stacks(places, stacks),
    )


def waiting_profile() -> TopCalls:
    """Return a process that used no CPU time."""
    return replace(shop_profile(), stacks=Stacks((), ()), samples=0, seconds=0.0)
