// What an option is, and what a table of options gives: values, names, a table for the README.

/** One option. `parse` throws an Error that says what is allowed. */
export interface OptionRow<T> {
  /** As on the command line: `-s, --server <urls>`. None: environment only. */
  readonly flags?: string
  /** The nats CLI's variable, looked at after our own. */
  readonly natsEnv?: string
  /** There is no variable for it: it says what this one call is to do. */
  readonly commandLineOnly?: true
  readonly default?: string
  /** What the tables show where the default depends on the machine. */
  readonly defaultText?: string
  readonly parse: (text: string) => T
  readonly help: string
}

interface WithDefault<T> extends OptionRow<T> {
  readonly default: string
}

export type OptionTable = Record<string, OptionRow<unknown>>

/** The values that a table describes, by key. */
export type ValuesOf<Table extends OptionTable> = {
  readonly [Key in keyof Table]: ReturnType<Table[Key]['parse']> | MissingValue<Table[Key]>
}
type MissingValue<Row> = Row extends { readonly default: string } ? never : undefined

/** The flag's long name, such as `--min-priority`; undefined for environment only. */
export function longFlag({ flags }: OptionRow<unknown>): string | undefined {
  return flags?.match(/--[a-z-]+/)?.[0]
}

/** `minPriority` → `FALCO_NATS_MIN_PRIORITY`. */
export function envName(key: string): string {
  return `FALCO_NATS_${key.replace(/[A-Z]/g, (upper) => `_${upper}`).toUpperCase()}`
}

/** Ours first, then the nats CLI's. */
export function environmentNames(key: string, row: OptionRow<unknown>): string[] {
  if (row.commandLineOnly) return []
  return row.natsEnv ? [envName(key), row.natsEnv] : [envName(key)]
}

/** The README's table. */
export function optionsMarkdown(table: OptionTable): string {
  const rows = Object.entries(table).map(([key, row]) => {
    const environment = environmentNames(key, row).map((name) => `\`${name}\``)
    const preset = row.default ? `\`${row.default}\`` : (row.defaultText ?? '')
    const flags = row.flags ? `\`${row.flags}\`` : '(environment only)'
    return `| ${flags} | ${environment.join(' ')} | ${escapeCell(preset)} | ${escapeCell(row.help)} |`
  })
  return ['| flag | environment | default | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

const escapeCell = (text: string) =>
  text.startsWith('`') ? text : text.replace(/<([^>]*)>/g, '`<$1>`')

export function required<T>(row: WithDefault<T>): WithDefault<T> {
  return row
}

export function optional<T>(row: OptionRow<T>): OptionRow<T> {
  return row
}

/** A switch: no value on the command line, `true` or `false` in the environment. */
export function flag(
  row: Pick<OptionRow<boolean>, 'commandLineOnly' | 'help'> & { flags: string },
): WithDefault<boolean> {
  return {
    ...row,
    default: 'false',
    parse(text) {
      if (!/^(true|false|1|0)$/i.test(text)) throw new Error('allowed: true or false')
      return /^(true|1)$/i.test(text)
    },
  }
}
