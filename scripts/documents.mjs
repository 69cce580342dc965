// The pages that people read, and the code blocks in them.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the repository. */
export const top = fileURLToPath(new URL('..', import.meta.url))

/** Every page of prose: the root's, the guide, and the README of each package and example. */
export function documents() {
  const inside = (folder) =>
    existsSync(join(top, folder)) ? readdirSync(join(top, folder)).map((name) => `${folder}/${name}`) : []
  const readmes = [...inside('packages'), ...inside('examples'), 'bench'].map(
    (folder) => `${folder}/README.md`,
  )
  const docs = inside('docs').flatMap((path) =>
    path.endsWith('.md') ? [path] : path === 'docs/reference' ? [] : inside(path),
  )
  return [...inside('.').map((path) => path.slice(2)), ...docs, ...readmes].filter(
    (path) => path.endsWith('.md') && existsSync(join(top, path)),
  )
}

/**
 * The fenced code blocks of a page.
 *
 * @param {string} text
 * @returns {{ language: string, attributes: Record<string, string>, line: number, code: string }[]}
 *   `line` is that of the first line of the code, counted from 1.
 */
export function blocksOf(text) {
  const blocks = []
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at += 1) {
    const open = /^( *)(`{3,})([^`]*)$/.exec(lines[at])
    if (!open) continue
    const [, indent, fence, info] = open
    const [language = '', ...rest] = info.trim().split(/\s+/)
    const end = lines.findIndex((line, index) => index > at && line.trim() === fence)
    if (end === -1) throw new Error(`the code block of line ${at + 1} has no end`)
    const attributes = Object.fromEntries(
      rest.map((word) => [word.split('=')[0], word.split('=').slice(1).join('=')]),
    )
    const code = lines
      .slice(at + 1, end)
      .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    blocks.push({ language, attributes, line: at + 2, code: code.map((line) => `${line}\n`).join('') })
    at = end
  }
  return blocks
}

/** The text of `path#region` of the repository, or of the whole file, without the indent that all lines share. */
export function regionOf(reference) {
  const [path, region] = reference.split('#')
  const text = readFileSync(join(top, path), 'utf8')
  if (region === undefined) return text
  const lines = text.split('\n')
  const start = lines.findIndex((line) => line.trim() === `// #region ${region}`)
  const end = lines.findIndex((line, index) => index > start && line.trim().startsWith('// #endregion'))
  if (start === -1 || end === -1) throw new Error(`${path} has no region ${region}`)
  const inner = lines.slice(start + 1, end)
  const indent = Math.min(
    ...inner.filter((line) => line.trim() !== '').map((line) => /^ */.exec(line)[0].length),
  )
  return inner.map((line) => `${line.slice(indent)}\n`).join('')
}
