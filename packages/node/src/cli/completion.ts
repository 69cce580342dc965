import type { ArgsDef, CommandDef } from 'citty'
import { checkTyped, outputOf } from './typed.js'
import { UsageError } from './usage.js'

/** One command as a shell completes it. */
export interface Completed {
  /** As it is typed: `s4s inbox export`. */
  readonly path: string
  readonly says: string
  readonly commands: readonly { readonly name: string; readonly says: string }[]
  readonly options: readonly CompletedOption[]
  /** Words that may stand without an option. */
  readonly words: readonly string[]
}

interface CompletedOption {
  readonly name: string
  readonly says: string
  readonly takesValue: boolean
  /** The values that there are, where they are few. */
  readonly values: readonly string[]
}

const options: ArgsDef = {
  shell: { type: 'positional', valueHint: 'bash|zsh|fish', description: 'For which shell' },
}

/** `s4s completion`: a script that completes every command of the table. */
export const completion = (root: () => CommandDef): CommandDef => ({
  meta: { name: 's4s completion', description: 'Print a script that completes s4s in a shell' },
  args: options,
  run(typed) {
    checkTyped(typed, options)
    const shell = String(typed.args.shell)
    if (!Object.hasOwn(scripts, shell)) throw new UsageError('the shell is bash, zsh or fish')
    outputOf(typed).out.write(scripts[shell]?.(completedOf(root())) ?? '')
  },
})

/** Every command below one, itself first. */
function completedOf(command: CommandDef): Completed[] {
  const { name = '', description = '' } = command.meta as { name?: string; description?: string }
  const inner = Object.entries((command.subCommands ?? {}) as Record<string, CommandDef>)
  const args = Object.entries((command.args ?? {}) as ArgsDef)
  const saysOf = ({ meta }: CommandDef): string => (meta as { description?: string }).description ?? ''
  return [
    {
      path: name,
      says: description,
      commands: inner.map(([word, one]) => ({ name: word, says: saysOf(one) })),
      options: [
        ...args
          .filter(([, { type }]) => type !== 'positional')
          .map(([option, { type, valueHint, description: says = '' }]) => ({
            ...{ name: `--${option}`, says, takesValue: type !== 'boolean' },
            values: choicesOf(valueHint),
          })),
        { name: '--help', says: 'Show how it is used', takesValue: false, values: [] },
        ...(name === 's4s'
          ? [{ name: '--version', says: 'Show the version', takesValue: false, values: [] }]
          : []),
      ],
      words: args.flatMap(([, { type, valueHint }]) => (type === 'positional' ? choicesOf(valueHint) : [])),
    },
    ...inner.flatMap(([, one]) => completedOf(one)),
  ]
}

const choicesOf = (hint = ''): string[] => (hint.includes('|') ? hint.split('|') : [])

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

// What is typed after the command is walked down the table: `at` ends as the command that it is in.
const walk = (all: readonly Completed[]): string =>
  all
    .slice(1)
    .map(({ path }) => quoted(path))
    .join('|')

const wordsOf = ({ commands, words }: Completed): string[] => [...commands.map(({ name }) => name), ...words]

function bash(all: readonly Completed[]): string {
  const cases = all.map(
    (one) =>
      `    ${quoted(one.path)}) words=${quoted(wordsOf(one).join(' '))}; options=${quoted(one.options.map(({ name }) => name).join(' '))} ;;`,
  )
  const values = all.flatMap(({ path, options: known }) =>
    known
      .filter(({ takesValue }) => takesValue)
      .map(({ name, values: some }) => `    ${quoted(`${path} ${name}`)}) ${chosen(some)} ;;`),
  )
  return `# s4s completion for bash: source <(s4s completion bash)
_s4s() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at=s4s word words= options=
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
      ${walk(all)}) at="$at $word" ;;
    esac
  done
  case "$at $prev" in
${values.join('\n')}
  esac
  case "$at" in
${cases.join('\n')}
  esac
  [[ $cur == -* ]] && words=$options
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _s4s s4s
`
}

// Without a choice the shell completes files.
const chosen = (values: readonly string[]): string =>
  values.length === 0 ? 'return' : `COMPREPLY=($(compgen -W ${quoted(values.join(' '))} -- "$cur")); return`

function zsh(all: readonly Completed[]): string {
  const described = (rows: readonly { readonly name: string; readonly says: string }[]): string =>
    rows
      .map(({ name, says }) => quoted(says === '' ? name : `${name.replaceAll(':', '\\:')}:${says}`))
      .join(' ')
  const cases = all.map(
    (one) =>
      `    ${quoted(one.path)}) words_=(${described([...one.commands, ...one.words.map((name) => ({ name, says: '' }))])}); options_=(${described(one.options)}) ;;`,
  )
  const values = all.flatMap(({ path, options: known }) =>
    known
      .filter(({ takesValue }) => takesValue)
      .map(
        ({ name, values: some }) =>
          `    ${quoted(`${path} ${name}`)}) ${some.length === 0 ? '_files' : `compadd -- ${some.map(quoted).join(' ')}`}; return ;;`,
      ),
  )
  return `#compdef s4s
# s4s completion for zsh: s4s completion zsh > a folder of $fpath/_s4s
_s4s() {
  local at=s4s word
  local -a words_ options_
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      (${walk(all)}) at="$at $word" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${values.join('\n').replaceAll("    '", "    ('")}
  esac
  case "$at" in
${cases.join('\n').replaceAll("    '", "    ('")}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe option options_
  elif (( \${#words_} )); then
    _describe command words_
  else
    _files
  fi
}
if [[ \${funcstack[1]} == _s4s ]]; then _s4s "$@"; else compdef _s4s s4s; fi
`
}

function fish(all: readonly Completed[]): string {
  const at = (path: string): string => `complete -c s4s -n ${fishQuoted(`__s4s_at ${fishQuoted(path)}`)}`
  const lines = all.flatMap((one) => [
    ...one.commands.map(
      ({ name, says }) => `${at(one.path)} -f -a ${fishQuoted(name)} -d ${fishQuoted(says)}`,
    ),
    ...one.words.map((word) => `${at(one.path)} -f -a ${fishQuoted(word)}`),
    ...one.options.map(
      ({ name, says, takesValue, values }) =>
        `${at(one.path)} -l ${name.slice(2)}${takesValue ? ' -r' : ''}${values.length > 0 ? ` -f -a ${fishQuoted(values.join(' '))}` : ''} -d ${fishQuoted(says)}`,
    ),
  ])
  const paths = all.slice(1).map(({ path }) => fishQuoted(path))
  return `# s4s completion for fish: s4s completion fish > ~/.config/fish/completions/s4s.fish
function __s4s_at
  set -l at s4s
  set -l words (commandline -opc)
  for word in $words[2..-1]
    if contains -- "$at $word" ${paths.join(' ')}
      set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
${lines.join('\n')}
`
}

const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

const scripts: Readonly<Record<string, (all: readonly Completed[]) => string>> = { bash, zsh, fish }
