import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { run } from '../cli/run.js'

/** What came of a command. */
export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

const program = fileURLToPath(new URL('../cli/s4s.ts', import.meta.url))
const tsx = createRequire(import.meta.url).resolve('tsx')

/** What `process.execPath` is given to run `s4s` from its sources. */
export const commandLine: readonly string[] = ['--conditions=@s4s/source', '--import', tsx, program]

/** Runs `s4s` as a process of its own, its output in pipes. */
export const s4s = (words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  new Promise((resolve) =>
    execFile(
      process.execPath,
      [...commandLine, ...words],
      { maxBuffer: 1 << 26, env: { ...process.env, ...env } },
      (error, out, err) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err }),
    ),
  )

/** As `s4s`, in this process; `onErr` sees what it says beside its results as it comes. */
export async function here(
  words: readonly string[],
  { tty = false, onErr }: { readonly tty?: boolean; readonly onErr?: (text: string) => void } = {},
): Promise<Ended> {
  const stream = (): PassThrough => Object.assign(new PassThrough(), { isTTY: tty })
  const [out, err] = [stream(), stream()]
  const [said, beside] = [gathered(out), gathered(err, onErr)]
  const code = await run(words, { out, err })
  return { code, out: said(), err: beside() }
}

function gathered(stream: PassThrough, onText?: (text: string) => void): () => string {
  let all = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    all += text
    onText?.(text)
  })
  return () => all + (stream.read() ?? '')
}
