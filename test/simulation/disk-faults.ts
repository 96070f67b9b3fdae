// What can go wrong with the disk of the spool.

import type { SimulatedDisk } from './disk.ts'
import { DISK_ERRORS } from './disk-errors.ts'
import type { TableRow } from './disk-table.ts'
import type { Access } from './disk-troubles.ts'
import type { FaultTable, Parameters } from './fault.ts'
import type { Random } from './random.ts'

/** About twice as long as a failed access waits until it is tried again, or much shorter. */
const lasting = (random: Random) => ({
  ms: random.onceIn(3) ? random.between(1, 500) : random.between(500, 12_000),
})

const READS: readonly Access[] = ['read']
const WRITES: readonly Access[] = ['write', 'remove', 'sync']

/** A fault that fails accesses for a while. */
const failing = (accesses: readonly Access[], error: (access: Access) => Error) => ({
  draw: lasting,
  strike: (disk: SimulatedDisk, { ms }: Parameters) =>
    disk.troubles.fail(Number(ms), accesses, error),
})

const ioError = (access: Access) =>
  access === 'read' || access === 'open' ? DISK_ERRORS.read() : DISK_ERRORS.write()

/** A fault that damages one row, now or at the next crash. */
const damaging = (
  drawMore: (random: Random) => Parameters,
  change: (row: TableRow, parameters: Parameters) => Partial<TableRow>,
) => ({
  draw: (random: Random): Parameters => ({
    // The newest most of the time: it is the one that was just written.
    row: random.onceIn(2) ? 0.999999 : random.part(),
    ...drawMore(random),
  }),
  strike(disk: SimulatedDisk, parameters: Parameters): void {
    const now = () => disk.changeRow(Number(parameters.row), (row) => change(row, parameters))
    if (parameters.atCrash === false) now()
    else disk.atCrash(now)
  },
})

const flipped = (bytes: Buffer, part: number, bit: number): Buffer => {
  const copy = Buffer.from(bytes)
  const at = Math.floor(part * copy.length)
  copy[at]! ^= 1 << (bit % 8)
  return copy
}

export const DISK_FAULTS: FaultTable<SimulatedDisk> = {
  diskSlow: {
    draw: (random) => ({
      ...lasting(random),
      accessMs: random.onceIn(3) ? random.between(100, 3_000) : random.between(1, 100),
      openingMs: random.onceIn(2) ? random.between(1, 10_000) : 0,
    }),
    strike: (disk, { ms, accessMs, openingMs }) =>
      disk.troubles.slowDown(Number(ms), Number(accessMs), Number(openingMs)),
  },
  diskFull: failing(['write'], DISK_ERRORS.full),
  /** Not even the log has room for a removal. */
  diskFullToTheBrim: failing(WRITES, DISK_ERRORS.full),
  diskReadOnly: failing(['open', ...WRITES], (access) =>
    access === 'open' ? DISK_ERRORS.openReadOnly() : DISK_ERRORS.readOnly(),
  ),
  diskFails: failing([...READS, ...WRITES], ioError),
  diskReadsFail: failing(READS, ioError),
  /** SQLite takes what it reads for damaged. */
  diskReadsGarbage: failing(READS, DISK_ERRORS.corrupt),
  diskWritesFail: failing(WRITES, ioError),
  diskRemovesFail: failing(['remove'], ioError),
  /** The row that could not be synced may be there after a crash. */
  diskSyncsFail: failing(['sync'], DISK_ERRORS.sync),
  diskSyncsLie: {
    draw: (random) => ({
      ...lasting(random),
      commits: random.between(1, 8),
      areSeen: random.onceIn(2),
    }),
    strike: (disk, { ms, commits, areSeen }) =>
      disk.troubles.lie(Number(ms), Number(commits), areSeen === true),
  },
  /** The rest of the row is of a page that was never written. */
  diskRowTorn: damaging(
    (random) => ({ at: random.part() }),
    ({ lines }, { at }) => ({
      lines: Buffer.from(lines).fill(0, Math.floor(Number(at) * lines.length)),
      isIntact: false,
    }),
  ),
  diskLinesFlipped: damaging(
    (random) => ({ at: random.part(), bit: random.below(8), atCrash: random.onceIn(2) }),
    ({ lines }, { at, bit }) => ({
      lines: flipped(lines, Number(at), Number(bit)),
      isIntact: false,
    }),
  ),
  diskChecksumFlipped: damaging(
    (random) => ({ bit: random.below(32), atCrash: random.onceIn(2) }),
    ({ checksum }, { bit }) => ({
      checksum: (checksum ^ (1 << Number(bit))) >>> 0,
      isIntact: false,
    }),
  ),
  /** The lines are as they were, so the opening repairs the row. */
  diskCountFlipped: damaging(
    (random) => ({ bit: random.below(16) }),
    ({ alerts }, { bit }) => ({ alerts: alerts ^ (1 << Number(bit)) }),
  ),
  diskSeverityFlipped: damaging(
    (random) => ({ bit: random.below(8) }),
    ({ leastSevere }, { bit }) => ({ leastSevere: leastSevere ^ (1 << Number(bit)) }),
  ),
  diskCorrupt: {
    draw: (random) => ({ atCrash: random.onceIn(2) }),
    strike: (disk, { atCrash }) => (atCrash === true ? disk.atCrash(disk.corrupt) : disk.corrupt()),
  },
}
