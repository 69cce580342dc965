import { digitsOf } from './parse.js'
import { type choiceOf, firstAt, quantityText, textOf } from './read.js'
import type { Cell } from './table.js'

/** A choice of types in the words in which one would write it down, whatever it is. */
export function choiceText(chosen: ReturnType<typeof choiceOf>): Cell {
  if (chosen === undefined) return null
  const { type, value } = chosen
  if (type === 'Coding') return textOf(firstAt(value, 'display'))
  if (type === 'CodeableConcept') return textOf(firstAt(value, 'text'))
  if (type === 'Quantity') return quantityText(value)
  if (type === 'Integer' || type === 'Decimal') return digitsOf(value)
  if (type === 'Boolean') return typeof value === 'boolean' ? String(value) : null
  if (type === 'Range') return between(value, 'low', ' - ', 'high')
  if (type === 'Ratio') return between(value, 'numerator', ':', 'denominator')
  if (type === 'Period') {
    const [start, end] = [textOf(firstAt(value, 'start')), textOf(firstAt(value, 'end'))]
    return start === null && end === null ? null : `${start ?? ''}/${end ?? ''}`
  }
  if (type === 'SampledData') return textOf(firstAt(value, 'data'))
  return textOf(value)
}

function between(value: unknown, from: string, mark: string, to: string): Cell {
  const [low, high] = [quantityText(firstAt(value, from)), quantityText(firstAt(value, to))]
  return low === null && high === null ? null : `${low ?? ''}${mark}${high ?? ''}`
}
