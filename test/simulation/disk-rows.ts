// The statements of the spool, answered by a simulated file. Each is an access of a life, which may end at it.

import { pagesWithin } from '../../src/forward/buffer/spool/database.ts'
import type { StoredRow } from '../../src/forward/buffer/spool/row.ts'
import type { Rows } from '../../src/forward/buffer/spool/tables.ts'
import { DISK_ERRORS } from './disk-errors.ts'
import type { SpoolFile } from './disk-file.ts'
import { numbersOf, PAGE_BYTES, type TableRow } from './disk-table.ts'
import type { Access } from './disk-troubles.ts'

const NOTHING = (): void => {}

/** How a life has the file open. */
export interface Connection {
  /** Throws unless the life is alive and has the file open. */
  check(): void
  /** As Life.step. */
  step(): void
  isOpen(): boolean
  /** Throws what the disk and the file do to such an access. */
  pass(access: Access): void
  close(): void
  readFailure(): Error | undefined
}

export function createRows(file: SpoolFile, connection: Connection, limitBytes: number): Rows {
  const { table } = file
  const maxPages = Math.max(pagesWithin(limitBytes), file.pages())

  /** An access, which has its effect unless the life ends before it, and also if the life ends after it. */
  function access<T>(kind: Access | undefined, step: () => T): T {
    connection.check()
    connection.step()
    connection.check()
    if (kind) connection.pass(kind)
    const result = step()
    connection.step()
    connection.check()
    return result
  }

  const change = (
    id: number,
    to: Partial<TableRow>,
    left?: (before: TableRow) => readonly number[],
  ) =>
    access('write', () => {
      const row = table.find(id)
      if (!row) return
      const before = { ...row }
      const undo = table.update(row, to)
      file.changed(left ? { undo, why: 'updated', left: () => left(before) } : { undo }, maxPages)
    })

  const found = (row: TableRow | undefined): StoredRow | undefined =>
    row && {
      id: row.id,
      alerts: row.alerts,
      lines: Buffer.from(row.lines),
      checksum: row.checksum,
    }

  return {
    lastId: table.rows.at(-1)?.id ?? 0,
    isOpen: connection.isOpen,
    measure: () =>
      access('read', () => {
        const sums = { rows: 0, alerts: 0, bytes: 0 }
        for (const { alerts, lines } of table.rows) {
          sums.rows++
          sums.alerts += alerts
          sums.bytes += lines.length
        }
        return sums
      }),
    insert: (alerts, leastSevere, lines, checksum, id) =>
      access('write', () => {
        if (table.find(id)) throw DISK_ERRORS.idTaken()
        // The caller uses its buffer again.
        const content = { alerts, leastSevere, lines: Buffer.from(lines), checksum }
        const inserted: TableRow = { id, ...content, isIntact: true, numbers: undefined }
        file.changed({ undo: table.insert(inserted), inserted }, maxPages)
      }),
    after: (id) => access('read', () => found(table.firstBehind(id))),
    oldestWith: (leastSevere, id) =>
      access('read', () =>
        found(table.rows.find((row) => row.id > id && row.leastSevere === leastSevere)),
      ),
    leastSevereAfter: (id) =>
      access('read', () => {
        let max: number | null = null
        for (const row of table.rows)
          if (row.id > id && (max === null || row.leastSevere > max)) max = row.leastSevere
        return { max }
      }),
    update(alerts, leastSevere, lines, checksum, id) {
      const content = { alerts, leastSevere, lines: Buffer.from(lines), checksum }
      const to = { ...content, isIntact: true, numbers: undefined }
      change(id, to, (before) => {
        const stay = numbersOf({ ...before, ...to })
        return numbersOf(before).filter((number) => !stay.includes(number))
      })
    },
    setAlerts: (alerts, id) => change(id, { alerts }),
    drop: (id) =>
      access('remove', () => {
        const row = table.find(id)
        if (!row) return
        const left = () => numbersOf(row)
        file.changed({ undo: table.drop(row), why: 'dropped', left }, maxPages)
      }),
    space: () => access(undefined, () => ({ free: (maxPages - table.pages()) * PAGE_BYTES })),
    keep: (found, alerts, lines) =>
      access('write', () => {
        const undo = table.keep({ found, alerts, lines: Buffer.from(lines) })
        file.changed({ undo, why: 'aside' }, maxPages)
      }),
    trimKept: (bytes) =>
      access('remove', () => file.changed({ undo: table.trimKept(bytes) }, maxPages)),
    atomically(step): void {
      access(undefined, () => file.begin())
      try {
        step()
        connection.check()
        connection.step()
        connection.check()
        connection.pass('write')
        file.commit()
      } catch (error) {
        file.rollBack()
        throw error
      }
      connection.step()
      connection.check()
    },
    readFailure: connection.readFailure,
    close(): void {
      access(undefined, NOTHING)
      connection.close()
    },
  }
}
