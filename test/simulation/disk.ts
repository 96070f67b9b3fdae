// A simulated disk with the file of one spool, which outlives the lives of falco-nats. The spool on it is the real
// one: only the statements that it runs are answered here.

import { asidePath, type DatabaseFile, isDamaged } from '../../src/forward/buffer/spool/database.ts'
import { createSpool, type Spool } from '../../src/forward/buffer/spool/spool.ts'
import type { Rows } from '../../src/forward/buffer/spool/tables.ts'
import { PRIORITIES } from '../../src/shared/alert/alert.ts'
import { FatalError } from '../../src/shared/errors.ts'
import { DISK_ERRORS } from './disk-errors.ts'
import { type Change, createSpoolFile, type WhyLeft } from './disk-file.ts'
import { type Connection, createRows } from './disk-rows.ts'
import { numbersIn, numbersOf, PAGE_BYTES, type TableRow } from './disk-table.ts'
import { type Access, createTroubles } from './disk-troubles.ts'
import type { Life, World } from './world.ts'

export type SimulatedDisk = ReturnType<typeof createDisk>
export type OnDrop = (numbers: readonly number[], why: WhyLeft) => void

const LEAST_SEVERE = PRIORITIES.length - 1
const VERBS: Record<WhyLeft, string> = {
  dropped: 'drops',
  updated: 'sheds',
  aside: 'keeps aside',
}
const listed = (numbers: readonly number[]) => `alerts ${numbers.join(' ')}`

/** `limitBytes` is what fits on the disk, whatever limit the spool was given. */
export function createDisk(world: World, { limitBytes }: { readonly limitBytes: number }) {
  const troubles = createTroubles(world.time)
  let file = newFile()
  let exists = false
  /** Its structure, as SQLite finds at each access. */
  let isCorrupt = false
  let logIsCut = false
  let connection: Connection | undefined
  let onDrop: OnDrop | undefined
  let rowsWritten = 0
  let atCrash: (() => void)[] = []
  const destroyed = new Set<number>()
  const damagedIds = new Set<number>()
  const movedAside: { readonly path: string; readonly numbers: readonly number[] }[] = []
  /** By the number of the life: the paths of what its opening moved or copied aside. */
  const asideOf: string[][] = []

  function newFile() {
    return createSpoolFile(troubles, Math.floor(limitBytes / PAGE_BYTES), committed)
  }

  function committed({ inserted, left, why }: Change, isAside: boolean): void {
    if (inserted) rowsWritten++
    if (inserted) world.trace(() => `the spool stores ${listed(numbersOf(inserted))}`)
    if (left && why) leave(left(), isAside ? 'aside' : why)
  }

  function leave(numbers: readonly number[], why: WhyLeft): void {
    world.trace(() => `the spool ${VERBS[why]} ${listed(numbers)}`)
    onDrop?.(numbers, why)
  }

  function destroy(row: TableRow): void {
    for (const number of numbersOf(row)) destroyed.add(number)
  }

  function connect(life: Life): Connection {
    const check = () => {
      if (connection !== mine || !life.isAlive()) throw DISK_ERRORS.closed()
    }
    const mine: Connection = {
      check,
      step: () => life.step(),
      isOpen: () => connection === mine && life.isAlive(),
      pass(access: Access): void {
        troubles.pass(access)
        if (isCorrupt) throw DISK_ERRORS.corrupt()
      },
      close(): void {
        if (!troubles.isLying()) file.sync()
        connection = undefined
      },
      readFailure: troubles.readFailure,
    }
    return mine
  }

  /** What openDatabase and openRows do. */
  function openRows(life: Life, spoolBytes: number): Rows {
    if (connection?.isOpen()) throw DISK_ERRORS.locked()
    // It ended without a word.
    if (connection) crash()
    const mine = connect(life)
    connection = mine
    try {
      life.step()
      mine.check()
      if (!exists) mine.pass('write')
      exists = true
      mine.pass('read')
      for (const row of file.table.rows)
        if (!(row.leastSevere in PRIORITIES)) file.table.update(row, { leastSevere: LEAST_SEVERE })
      return createRows(file, mine, spoolBytes)
    } catch (error) {
      connection = undefined
      throw error
    }
  }

  function tellOf({ number: life }: Life, path: string): void {
    asideOf[life] = [...(asideOf[life] ?? []), path]
  }

  function moveAside(path: string, life: Life): string {
    troubles.pass('write')
    const numbers = file.table.rows.flatMap(numbersOf)
    movedAside.push({ path, numbers })
    tellOf(life, path)
    file = newFile()
    exists = false
    isCorrupt = false
    logIsCut = false
    leave(numbers, 'aside')
    return path
  }

  /** As the real openSpool and openDatabase. */
  const openSpool =
    (life: Life) =>
    async (directory: string, spoolBytes: number): Promise<Spool> => {
      if (troubles.openingMs() > 0) await life.clock.delay(troubles.openingMs())
      if (!life.isAlive()) throw DISK_ERRORS.closed()
      const path = `${directory}/spool.db`
      const aside = () => asidePath(path, life.clock)
      const open = (movedTo?: string): Spool => {
        const rows = openRows(life, spoolBytes)
        const cutLog = logIsCut ? `${aside()}-wal` : undefined
        logIsCut = false
        if (cutLog !== undefined) tellOf(life, cutLog)
        const opened: DatabaseFile = {
          path,
          limitBytes: spoolBytes,
          movedAside: movedTo,
          cutLog,
        }
        try {
          return createSpool(rows, opened, life.clock)
        } catch (error) {
          if (rows.isOpen()) rows.close()
          throw error
        }
      }
      if (connection?.isOpen())
        throw new FatalError(
          `--spool-dir ${directory} is in use by another process; give each its own`,
        )
      troubles.pass('open')
      try {
        return open()
      } catch (error) {
        if (!isDamaged(error)) throw error
        const failure = troubles.readFailure()
        if (failure) throw failure
        return open(moveAside(aside(), life))
      }
    }

  /** The process is gone. What it committed stays, except for what `lostCommits` says. */
  function crash(lostCommits = 0): void {
    connection = undefined
    const lost = file.crash(lostCommits)
    for (const row of lost) {
      logIsCut ||= troubles.lies().areSeen
      destroy(row)
      world.trace(() => `the power cut takes row ${row.id}, ${listed(numbersOf(row))}`)
    }
    const steps = atCrash
    atCrash = []
    for (const step of steps) step()
  }

  return {
    openSpool,
    /** The statements alone, to hold them to those in SQLite. */
    openRows,
    /** The process was killed. */
    crash: () => crash(),
    /** It was killed, and with it goes what no sync has put on the disk. */
    powerCut: () => crash(troubles.lies().commits),
    /** Ends what lasts, and what was to come. Damage that is done stays. */
    heal(): void {
      troubles.end()
      file.sync()
      atCrash = []
    },
    troubles,
    /** Has a fault happen at the next crash or power cut. */
    atCrash: (step: () => void): void => void atCrash.push(step),
    /** Damages the structure of the file, so that all in it is lost. */
    corrupt(): void {
      if (!exists) return
      isCorrupt = true
      file.table.rows.forEach(destroy)
      world.trace(() => 'the file of the spool is damaged')
    },
    /** Changes a row: 0 is the oldest, and just below 1 the newest. */
    changeRow(part: number, change: (row: TableRow) => Partial<TableRow>): void {
      const { rows } = file.table
      const row = rows[Math.floor(part * rows.length)]
      // Once: of a row with two damaged fields, falco-nats can only estimate how many alerts it had.
      if (!row || damagedIds.has(row.id)) return
      damagedIds.add(row.id)
      // As they were.
      const numbers = numbersOf(row)
      file.table.update(row, change(row))
      if (!row.isIntact) destroy(row)
      world.trace(() => `the disk damages row ${row.id}, ${listed(numbers)}`)
    },
    /** Is told which alerts have left the table, once that is committed. */
    onDrop(step: OnDrop): void {
      onDrop = step
    },
    isOpen: () => connection?.isOpen() === true,
    rowsWritten: () => rowsWritten,
    /** In all rows. */
    alerts: () => file.table.rows.reduce((sum, row) => sum + numbersOf(row).length, 0),
    /** The paths of what the opening of a life moved or copied aside. */
    asideOf: ({ number: life }: Pick<Life, 'number'>): readonly string[] => asideOf[life] ?? [],
    /** The rows, with those of a transaction that is not committed yet. */
    stored: () =>
      file.table.rows.map((row) => ({
        id: row.id,
        numbers: numbersOf(row),
        isIntact: row.isIntact && !isCorrupt,
        leastSevere: row.leastSevere,
      })),
    /** Of the file, without its log. */
    bytes: () => file.pages() * PAGE_BYTES,
    /** The copies in the table of damaged rows. */
    aside: () =>
      file.table.kept().map(({ found, lines }) => ({ found, numbers: numbersIn(lines) })),
    /** The files that were moved aside. */
    movedAside: () => movedAside as readonly (typeof movedAside)[number][],
    /** The alerts in rows that a fault has destroyed or taken away. */
    destroyed: destroyed as ReadonlySet<number>,
  }
}
