// The file of a simulated spool: what is committed, what is not yet, and what a crash or a power cut makes of it.

import { DISK_ERRORS } from './disk-errors.ts'
import { createTable, type TableRow, type Undo } from './disk-table.ts'
import type { createTroubles } from './disk-troubles.ts'

/** `dropped`: released, or shed whole; `updated`: shed from a row that stays; `aside`: kept aside, as damaged. */
export type WhyLeft = 'dropped' | 'updated' | 'aside'

export interface Change {
  readonly undo: Undo
  readonly why?: WhyLeft
  /** The numbers of the alerts that leave the table by it. */
  readonly left?: () => readonly number[]
  readonly inserted?: TableRow
}

export type SpoolFile = ReturnType<typeof createSpoolFile>

export function createSpoolFile(
  troubles: ReturnType<typeof createTroubles>,
  diskPages: number,
  committed: (change: Change, isAside: boolean) => void,
) {
  const table = createTable()
  /** SQLite gives pages back to the file, never to the disk. */
  let pages = 0
  let transaction: Change[] | undefined
  /** Commits that a power cut can still take. */
  let unsynced: (readonly Change[])[] = []
  /** Its sync failed, so the life was told that it is not there; after a crash it may be. */
  let ghost: TableRow | undefined

  function rollBack(): void {
    undo(transaction ?? [])
    transaction = undefined
  }

  function commit(): void {
    const changes = transaction!
    try {
      troubles.pass('sync')
    } catch (error) {
      rollBack()
      ghost = changes[0]?.inserted
      throw error
    }
    transaction = undefined
    ghost = undefined
    pages = Math.max(pages, table.pages())
    if (troubles.isLying()) unsynced.push(changes)
    else unsynced = []
    const isAside = changes.some(({ why }) => why === 'aside')
    for (const change of changes) committed(change, isAside)
  }

  return {
    table,
    pages: () => pages,
    begin(): void {
      transaction = []
    },
    commit,
    rollBack,
    /** Takes a change that was made to the table. Outside a transaction it commits. */
    changed(change: Change, maxPages: number): void {
      const needed = table.pages()
      if (needed > pages && needed > Math.min(maxPages, diskPages)) {
        change.undo()
        throw DISK_ERRORS.full()
      }
      if (transaction) transaction.push(change)
      else {
        transaction = [change]
        commit()
      }
    },
    /** What is committed is from now on on the disk. */
    sync(): void {
      unsynced = []
    },
    /** Ends the process that had it open. Returns the rows that are gone although it was told that they are stored. */
    crash(lostCommits: number): TableRow[] {
      rollBack()
      if (ghost && !table.find(ghost.id)) table.insert(ghost)
      ghost = undefined
      if (lostCommits === 0) return []
      const before = [...table.rows]
      for (const changes of unsynced.splice(-lostCommits).reverse()) undo(changes)
      unsynced = []
      return before.filter((row) => table.find(row.id) !== row)
    },
  }
}

function undo(changes: readonly Change[]): void {
  for (let at = changes.length; at > 0; at--) changes[at - 1]!.undo()
}
