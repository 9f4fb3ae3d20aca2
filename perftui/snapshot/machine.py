"""The machine: host, CPU, memory, disks, network, stalls, control group, file systems."""

from __future__ import annotations

from perftui.snapshot.part import NOT_STARTED, Maybe, Part


class Host(Part, frozen=True):
    """The machine the monitor runs on."""

    name: str
    system: str
    kernel: str
    cpus: int
    uptime: float


class Cpu(Part, frozen=True):
    """CPU use since the previous sample; percent of all cores, `per_core` percent of each."""

    percent: Maybe[float]
    per_core: Maybe[tuple[float, ...]]
    user_percent: Maybe[float]
    system_percent: Maybe[float]
    iowait_percent: Maybe[float]
    steal_percent: Maybe[float]
    load: Maybe[tuple[float, float, float]]


class Memory(Part, frozen=True):
    """Memory as `free` counts it: used is total less available.

    `oom_kills` counts the processes that the kernel killed for want of memory since it started.
    """

    percent: float
    used: int
    total: int
    available: int
    oom_kills: Maybe[int] = NOT_STARTED


class Swap(Part, frozen=True):
    """Swap space; all zero where none is configured. Rates are bytes per second."""

    percent: float
    used: int
    total: int
    in_rate: Maybe[float] = NOT_STARTED
    out_rate: Maybe[float] = NOT_STARTED


class Disk(Part, frozen=True):
    """Bytes per second to and from whole block devices, partitions not counted twice."""

    read_rate: Maybe[float]
    write_rate: Maybe[float]


class Network(Part, frozen=True):
    """Bytes per second over all interfaces but loopback."""

    receive_rate: Maybe[float]
    transmit_rate: Maybe[float]


class Stall(Part, frozen=True):
    """Pressure stall information of one resource: percent of time tasks waited for it."""

    some_avg10: float
    some_avg60: float
    full_avg10: Maybe[float]
    full_avg60: Maybe[float]


class Pressure(Part, frozen=True):
    """/proc/pressure, see the kernel's Documentation/accounting/psi.rst."""

    cpu: Maybe[Stall]
    memory: Maybe[Stall]
    io: Maybe[Stall]


class Cgroup(Part, frozen=True):
    """Limits and usage of the control group; `None` means that no limit is set.

    `oom_kills` counts the processes killed at the memory limit since the group was made, `periods`
    those of the scheduler since the sample before, of which `throttled_percent` were cut short.
    """

    version: int
    path: str
    cpu_limit: Maybe[float | None]
    cpu_cores: Maybe[float]
    cpu_percent: Maybe[float]
    throttled_percent: Maybe[float]
    memory_limit: Maybe[int | None]
    memory_used: Maybe[int]
    memory_percent: Maybe[float]
    oom_kills: Maybe[int] = NOT_STARTED
    periods: Maybe[int] = NOT_STARTED


class FileSystem(Part, frozen=True, gc=False):
    """One mounted file system; bytes as `df` counts them, for users without privileges.

    `used_percent` is of what users may have, `inodes_percent` of the files there may be.
    """

    mount: str
    device: str
    kind: str
    total: int
    available: int
    used_percent: float
    inodes_percent: Maybe[float]


class FileSystems(Part, frozen=True):
    """The file systems that hold data; `hung` are mount points that do not answer.

    `refused` are mount points that answer with an error, each with its reason.
    """

    rows: tuple[FileSystem, ...]
    hung: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class ProcessDescriptors(Part, frozen=True, gc=False):
    """How many file descriptors a process has open, of how many it may have."""

    pid: int
    name: str
    open: int
    limit: int


class Descriptors(Part, frozen=True):
    """File descriptors: of the whole machine, and of the processes nearest to their limit.

    `readable` processes were looked at; those of other users stay hidden without privileges.
    """

    open: Maybe[int]
    limit: Maybe[int]
    rows: tuple[ProcessDescriptors, ...]
    readable: int


class Resources(Part, frozen=True):
    """Everything the machine has to give."""

    cpu: Maybe[Cpu] = NOT_STARTED
    memory: Maybe[Memory] = NOT_STARTED
    swap: Maybe[Swap] = NOT_STARTED
    disk: Maybe[Disk] = NOT_STARTED
    network: Maybe[Network] = NOT_STARTED
    pressure: Maybe[Pressure] = NOT_STARTED
    cgroup: Maybe[Cgroup] = NOT_STARTED
