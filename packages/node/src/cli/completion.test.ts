import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { here, s4s } from '../test-support/command-line.js'
import { root } from './commands.js'

const folder = mkdtempSync(join(tmpdir(), 's4s-completion-'))
afterAll(() => rmSync(folder, { recursive: true }))

const script = async (shell: string): Promise<string> => (await here(['completion', shell])).out
/** What bash offers for the last of these words. */
const offered = async (...words: string[]): Promise<string[]> => {
  const file = join(folder, 'completion.bash')
  writeFileSync(file, await script('bash'))
  const program = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _s4s; printf '%s\\n' "\${COMPREPLY[@]}"`
  const out = execFileSync('bash', ['-c', program, 'bash', file, ...words], { encoding: 'utf8' })
  return out.split('\n').filter((line) => line !== '')
}

describe('s4s completion', () => {
  test('bash completes commands, the commands below them, options, and values where they are few', async () => {
    expect(await offered('s4s', '')).toEqual(Object.keys(root.subCommands ?? {}))
    expect(await offered('s4s', 'co')).toEqual(['connect', 'connections', 'collect', 'completion'])
    expect(await offered('s4s', 'inbox', '')).toEqual(['export', 'packages', 'verify'])
    expect(await offered('s4s', 'inbox', 'export', '--f')).toEqual(['--folder', '--format'])
    expect(await offered('s4s', 'inbox', 'export', '--format', '')).toEqual(['ndjson', 'csv', 'parquet'])
    expect(await offered('s4s', 'doctor', 'https://a.example', '--plan', 's')).toEqual(['s4s-pilot'])
    expect(await offered('s4s', 'collect', '--out', '')).toEqual([])
    expect(await offered('s4s', 'completion', '')).toEqual(['bash', 'zsh', 'fish'])
  })

  test.each(['zsh', 'fish'])('%s has every command and every option', async (shell) => {
    const text = await script(shell)
    const walk = (command: typeof root): void => {
      const { name = '', description = '' } = command.meta as { name?: string; description?: string }
      expect(text).toContain(`'${name}'`.replaceAll("'", shell === 'fish' ? "\\'" : "'"))
      if (name !== 's4s') expect(text).toContain(description)
      for (const [option, { type }] of Object.entries(
        (command.args ?? {}) as Record<string, { type: string }>,
      ))
        if (type !== 'positional')
          expect(text).toContain(shell === 'fish' ? ` -l ${option}` : `'--${option}:`)
      for (const inner of Object.values(command.subCommands ?? {})) walk(inner as typeof root)
    }
    walk(root)
  })

  test('another shell is not understood', async () => {
    expect(await here(['completion', 'tcsh'])).toEqual({
      code: 2,
      out: '',
      err: 's4s: the shell is bash, zsh or fish\nTry: s4s completion --help\n',
    })
    expect((await here(['completion', 'constructor'])).code).toBe(2)
  })

  test('every command says how it is used, in a pipe without colour, and what its version is', async () => {
    const shown = await s4s(['--version'], { FORCE_COLOR: '1' })
    expect(shown).toEqual({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/), err: '' })
    const all = ['', ...Object.keys(root.subCommands ?? {}), 'inbox export', 'inbox packages', 'inbox verify']
    for (const words of all) {
      const { code, out, err } = await here([...words.split(' ').filter(Boolean), '--help'])
      expect([words, code, err]).toEqual([words, 0, ''])
      expect(out).toContain(`s4s${words === '' ? '' : ` ${words}`}`)
      expect(out).not.toContain('\u001b')
    }
  })
})
