// Named pipes and standard input as a source sees them. A simulation hands in its own.

/** The most that a pipe can hold (Linux: fs.pipe-max-size). */
export const PIPE_BYTES_MAX = 1024 * 1024

export interface Inputs {
  /** Makes a named pipe if nothing is at `path`; throws a FatalError. Does not open it: Falco would write into it. */
  makePipe(path: string): void
  /**
   * Puts a pipe in the place of a regular file at `path`, and opens that file, or the one that an earlier start left.
   * Undefined where there is neither; throws a FatalError.
   */
  adopt(path: string): AdoptedFile | undefined
  /** The name of the file that an earlier start adopted and left, if any. */
  leftAdopted(path: string): string | undefined
  /** Opens the named pipe at `path`, which is made if nothing is there; throws a FatalError. */
  openPipe(path: string): Pipe
  /** Undefined where standard input cannot be polled: it is a file, a terminal or /dev/null. */
  openStdin(): Input | undefined
}

export interface Input {
  /** Reads without waiting: how many bytes, 0 at the end of the input, undefined where it is empty. */
  read(buffer: Buffer): number | undefined
  /** Reads into `buffer` whenever bytes come, until `onRead` returns false. Resolves at the end of the input. */
  flow(buffer: Buffer, onRead: (length: number) => boolean): Promise<void>
  pause(): void
  resume(): void
  close(): Promise<void>
}

/** A regular file that was in the place of the pipe. */
export interface AdoptedFile {
  /** Its name now. */
  readonly name: string
  /** In bytes, when it was opened. */
  readonly size: number
  /** Why it has no name any more, so that it ends with this process, if so. */
  readonly unkept: string | undefined
  /** How many bytes: 0 where no more have been written. */
  read(buffer: Buffer): number
  /** The last bytes of the last read are read again. */
  unread(bytes: number): void
  /** How many bytes are behind the last that was read. */
  left(): number
  /** Takes its name away: the next start does not read it. */
  remove(): void
  close(): void
}

export interface Reader extends Input {
  /**
   * Closes it at a moment at which no process has it open for writing, if one comes within milliseconds: whether it did. Calls
   * `onRead` for what was read into `buffer` before.
   */
  leave(buffer: Buffer, onRead: (length: number) => void): boolean
}

export interface Pipe extends Input {
  /** Why `setAside` would fail, as far as could be seen when it was opened. */
  readonly obstacle: string | undefined
  /** Why it is no longer the pipe at its path, if so. */
  whyGone(): string | undefined
  /** Puts a new pipe in its place, and returns what reads this one to its end. Throws where it cannot be done. */
  setAside(): Input
  /** What reads it where it is, and sees writers come and go once this input is closed. Throws where it cannot be done. */
  reader(): Reader
}
