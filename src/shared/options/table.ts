// An option as a row of a table, and the values and names that a table gives.

/** What a parser takes, for the chart's schema. */
export type Allowed =
  | { readonly type: 'boolean' | 'duration' }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | { readonly type: 'bytes' | 'number'; readonly min: number; readonly max: number }

/** Throws an Error with the allowed values. Without `allowed`, the text alone decides. */
export type Parser<T> = ((text: string) => T) & { readonly allowed?: Allowed }

export const parser = <T>(allowed: Allowed, parse: (text: string) => T): Parser<T> =>
  Object.assign(parse, { allowed })

export interface OptionRow<T> {
  /** As on the command line: `-s, --server <urls>`. None: environment only. */
  readonly flags?: string
  /** The nats CLI's variable, looked at after our own. */
  readonly natsEnv?: string
  /** It selects what this one call does, so it has no variable. */
  readonly commandLineOnly?: true
  readonly default?: string
  /** What the tables show where the default depends on the machine. */
  readonly defaultText?: string
  readonly parse: Parser<T>
  readonly help: string
}

type WithDefault<T> = OptionRow<T> & { readonly default: string }

export type OptionTable = Record<string, OptionRow<unknown>>

/** The values that a table describes, by key. */
export type ValuesOf<Table extends OptionTable> = {
  readonly [Key in keyof Table]: ReturnType<Table[Key]['parse']> | MissingValue<Table[Key]>
}
type MissingValue<Row> = Row extends { readonly default: string } ? never : undefined

/** The flag's long name, such as `--min-priority`; undefined for environment only. */
export const longFlag = ({ flags }: OptionRow<unknown>): string | undefined =>
  flags?.match(/--[a-z-]+/)?.[0]

/** `minPriority` → `FALCO_NATS_MIN_PRIORITY`. */
export const envName = (key: string) =>
  `FALCO_NATS_${key.replace(/[A-Z]/g, (upper) => `_${upper}`).toUpperCase()}`

/** Ours first, then the nats CLI's. */
export function environmentNames(key: string, row: OptionRow<unknown>): string[] {
  if (row.commandLineOnly) return []
  return row.natsEnv ? [envName(key), row.natsEnv] : [envName(key)]
}

export const required = <T>(row: WithDefault<T>) => row
export const optional = <T>(row: OptionRow<T>) => row

const trueOrFalse = parser({ type: 'boolean' }, (text) => {
  if (!/^(true|false|1|0)$/i.test(text)) throw new Error('allowed: true or false')
  return /^(true|1)$/i.test(text)
})

type FlagRow = Pick<OptionRow<boolean>, 'commandLineOnly' | 'help'> & { flags: string }

/** A switch: no value on the command line, `true` or `false` in the environment. */
export const flag = (row: FlagRow) => required({ ...row, default: 'false', parse: trueOrFalse })
