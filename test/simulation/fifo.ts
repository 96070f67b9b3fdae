// A named pipe as Linux keeps it (fifo(7), pipe(7)): its bytes live as long as any process has it open.

/** Up to here a write is whole or waits. */
const PIPE_BUF = 4096
const NEWLINE = 0x0a

/** What became of one line. */
export interface Fate {
  /** Of the alert; below 0 where the line is none. */
  readonly number: number
  /** With its newline, if it has one. */
  readonly line: Buffer
  /** Bytes of it that came into a pipe. */
  written: number
  /** Bytes of it that were read, by these lives. */
  read: number
  readonly readBy: number[]
  /** Bytes of it that were lost with a pipe. */
  lost: number
  /** Whether its bytes came one behind the other. */
  isIntact: boolean
  /** Whether, besides, no bytes of others are in its line. */
  isAlone: boolean
}

export const newFate = (number: number, line: Buffer): Fate => ({
  number,
  line,
  written: 0,
  read: 0,
  readBy: [],
  lost: 0,
  isIntact: true,
  isAlone: true,
})

export type Fifo = ReturnType<typeof createFifo>
export type Opened = ReturnType<Fifo['open']>

/** `capacity`: at least PIPE_BUF. */
export function createFifo(capacity: number) {
  const pieces: { readonly fate: Fate; at: number; readonly end: number }[] = []
  const listeners = new Set<() => void>()
  /** With the number of the life that had it open last. */
  const lost: { readonly fate: Fate; readonly lastReader: number | undefined }[] = []
  let lastReader: number | undefined
  /** Those with bytes in the line whose newline has not come. */
  let begun: Fate[] = []
  let [readers, writers, readersEver, used] = [0, 0, 0, 0]

  function changed(): void {
    for (const listener of listeners) listener()
  }

  /** Of the bytes of `fate` that are not written yet: 0 where the writer has to wait, undefined for EPIPE. */
  function write(fate: Fate, length: number): number | undefined {
    if (readers === 0) return undefined
    const room = capacity - used
    if (length <= PIPE_BUF ? room < length : room === 0) return 0
    const taken = Math.min(room, length)
    follow(fate)
    const end = fate.written + taken
    pieces.push({ fate, at: fate.written, end })
    fate.written = end
    used += taken
    if (fate.line[end - 1] === NEWLINE) begun = []
    changed()
    return taken
  }

  function follow(fate: Fate): void {
    const last = begun.at(-1)
    if (fate.written > 0 && last === fate) return
    if (fate.written > 0) fate.isIntact = false
    begun.push(fate)
    if (begun.length > 1 || fate.written > 0) for (const each of begun) each.isAlone = false
  }

  /** 0 at the end, undefined for EAGAIN. `onEnd` gets each line whose last byte is read. */
  function read(
    buffer: Buffer,
    length: number,
    life: number,
    onEnd: (fate: Fate) => void,
  ): number | undefined {
    if (used === 0) return writers === 0 ? 0 : undefined
    let filled = 0
    while (filled < length && pieces.length > 0) {
      const piece = pieces[0]!
      const { fate, at } = piece
      const taken = Math.min(length - filled, piece.end - at)
      fate.line.copy(buffer, filled, at, at + taken)
      piece.at += taken
      filled += taken
      fate.read += taken
      if (fate.readBy.at(-1) !== life) fate.readBy.push(life)
      if (piece.at === fate.line.length) onEnd(fate)
      if (piece.at === piece.end) pieces.shift()
    }
    used -= filled
    changed()
    return filled
  }

  /** A reader and a writer do not wait here: a writer that waits for a reader has opened it, see `hasPartner`. */
  function open(access: 'read' | 'write' | 'both', life?: number) {
    /** How many readers there have to have been until open(2) returns. */
    const needed = access === 'write' && readers === 0 ? readersEver + 1 : 0
    let isOpen = true
    if (access !== 'write') {
      lastReader = life
      readers++
      readersEver++
    }
    if (access !== 'read') writers++
    changed()
    return {
      /** Whether open(2) has returned: a writer waits for a reader, which may have gone again. */
      hasPartner: () => readersEver >= needed,
      isOpen: () => isOpen,
      close(): void {
        if (!isOpen) return
        isOpen = false
        if (access !== 'write') readers--
        if (access !== 'read') writers--
        if (readers + writers === 0) destroy()
        changed()
      },
    }
  }

  function destroy(): void {
    for (const { fate, at, end } of pieces) {
      fate.lost += end - at
      lost.push({ fate, lastReader })
    }
    pieces.length = used = 0
    begun = []
  }

  return {
    open,
    write,
    read,
    readers: () => readers,
    used: () => used,
    /** The lines with bytes that are in it, or were when the last process closed it. */
    unread: () => [...lost, ...pieces.map(({ fate }) => ({ fate, lastReader }))],
    /** Whether a read would tell something: bytes, or the end. */
    isReadable: () => used > 0 || writers === 0,
    /** Calls `step` at each change. */
    listen(step: () => void): Disposable {
      listeners.add(step)
      return { [Symbol.dispose]: () => void listeners.delete(step) }
    },
  }
}
