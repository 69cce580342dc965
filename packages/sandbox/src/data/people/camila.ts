import type { Resource } from '../../fhir/resource.js'
import { createChart } from '../chart.js'
import {
  concept,
  conditions,
  labs,
  loinc,
  medicines,
  panels,
  rxnorm,
  snomed,
  systems,
  vaccines,
  visitTypes,
} from '../codes.js'
import {
  addAllergy,
  addCarePlan,
  addCareTeam,
  addCondition,
  addCoverage,
  addDepressionScreening,
  addFamilyHistory,
  addFoodScreening,
  addGoal,
  addImmunization,
  addNote,
  addObservation,
  addOrder,
  addPanel,
  addPrescription,
  addProcedure,
  addSmoking,
  addVitals,
  coded,
  htmlNote,
  noteTypes,
  plainNote,
} from '../entries.js'
import { bloodCountResults, metabolicResults } from '../physiology.js'
import type { Random } from '../random.js'
import { ageAt, at, dateOf, dayLength } from '../time.js'

/** Camila, in the 32nd week of an uncomplicated pregnancy, and the mother of Leo. */
export function camila(random: Random): Iterable<Resource> {
  const birthDate = '1993-07-08'
  const chart = createChart(
    {
      id: 'camila',
      given: ['Camila', 'Inés'],
      family: 'Rivera',
      gender: 'female',
      birthDate,
      race: ['2106-3', 'White'],
      ethnicity: ['2135-2', 'Hispanic or Latino'],
      language: ['es', 'Spanish'],
      clinician: 'grace-adeyemi',
      since: at('2017-09-04', '15:00'),
      phone: '312-555-0142',
    },
    random,
  )
  addCoverage(chart, at('2019-01-01'), 'PHP-500219-01', ['512', 'Commercial Managed Care - PPO'])

  const checkUp = chart.visit({ time: at('2025-06-12', '10:15'), kind: visitTypes.checkUp, minutes: 30 })
  addVitals(chart, checkUp, {
    pressure: [112, 70],
    heartRate: 68,
    temperature: 36.7,
    height: 164,
    weight: 61.2,
    oxygen: 99,
  })
  addSmoking(chart, checkUp, 'never')
  addAllergy(
    chart,
    checkUp,
    concept(rxnorm('723', 'amoxicillin'), snomed('294505008', 'Allergy to amoxicillin')),
    {
      manifestation: snomed('247472004', 'Weal'),
      severity: 'moderate',
      category: 'medication',
    },
  )
  addFamilyHistory(chart, checkUp, ['MTH', 'mother'], conditions.diabetes2, 52)
  addObservation(chart, checkUp, {
    category: 'social-history',
    code: loinc('86645-9', 'Pregnancy intention in the next year - Reported'),
    value: coded(snomed('454381000124105', 'Wants to become pregnant')),
    profile: 'observation-pregnancyintent',
  })
  addObservation(chart, checkUp, {
    category: 'social-history',
    code: loinc('11341-5', 'History of Occupation'),
    value: { valueString: 'Teacher in a primary school' },
    profile: 'observation-occupation',
  })
  addPrescription(
    chart,
    checkUp,
    { inline: medicines.folicAcid },
    {
      dose: 'One tablet a day',
      daily: 1,
      reported: true,
      dispenses: 3,
    },
  )
  addPanel(
    chart,
    checkUp,
    panels.metabolic,
    metabolicResults(random, {
      glucose: 84,
      creatinine: 0.68,
      age: ageAt(birthDate, checkUp.time),
      female: true,
    }),
  )

  // The last period began on 2025-10-18; weeks are counted from it.
  const lastPeriod = at('2025-10-18', '08:30')
  const week = (number: number): number => lastPeriod + number * 7 * dayLength + 2 * dayLength
  const weeks = [8, 12, 16, 20, 24, 28, 30, 32] as const
  let pregnancy: string | undefined
  for (const number of weeks) {
    const visit = chart.visit({
      time: week(number),
      kind: visitTypes.prenatal,
      clinician: 'ruth-feldman',
      ...(pregnancy ? { reason: { reasonReference: [{ reference: pregnancy }] } } : {}),
    })
    addVitals(chart, visit, {
      pressure: [random.about(110, 3), random.about(68, 2)],
      heartRate: random.about(72 + number / 3, 3),
      temperature: random.about(36.8, 0.1, 1),
      weight: random.about(61.2 + Math.max(0, number - 10) * 0.42, 0.2, 1),
    })
    addObservation(chart, visit, {
      category: 'social-history',
      code: loinc('82810-3', 'Pregnancy status'),
      value: coded(snomed('77386006', 'Pregnant')),
      profile: 'observation-pregnancystatus',
    })
    if (number === 8) {
      pregnancy = addCondition(chart, visit, conditions.pregnancy, { onset: lastPeriod })
      addPanel(chart, visit, panels.bloodCount, bloodCountResults(random, 13.1))
      addNote(
        chart,
        visit,
        noteTypes.history,
        plainNote(chart, visit, 'First prenatal visit', [
          `Second pregnancy; the first ended in the birth of a healthy boy in 2020. Last period ${dateOf(lastPeriod)}.`,
          'Mild nausea in the mornings. Takes folic acid. No bleeding, no pain.',
          'Plan: blood count, blood group, ultrasound at 20 weeks.',
        ]),
      )
      addObservation(chart, visit, {
        category: 'laboratory',
        code: loinc('882-1', 'ABO and Rh group [Type] in Blood'),
        value: coded(snomed('278149003', 'Blood group A Rh(D) positive')),
        profile: 'observation-lab',
      })
    }
    if (number === 20) {
      addOrder(
        chart,
        visit,
        loinc('11525-3', 'US Pelvis Fetus for pregnancy'),
        snomed('363679005', 'Imaging'),
      )
      addProcedure(chart, visit, snomed('16310003', 'Ultrasonography'), pregnancy)
      addObservation(chart, visit, {
        category: 'imaging',
        code: loinc('11727-5', 'Fetal Body weight estimated from Ultrasound'),
        value: { valueQuantity: { value: 331, unit: 'g', system: systems.ucum, code: 'g' } },
        profile: 'observation-clinical-result',
      })
      addNote(
        chart,
        visit,
        noteTypes.imaging,
        htmlNote(chart, visit, 'Obstetric ultrasound', [
          'One living fetus, head up. Growth as expected for 20 weeks. Anatomy complete and normal.',
          'Placenta at the back wall, clear of the cervix. Amniotic fluid normal.',
        ]),
        { report: loinc('LP29684-5', 'Radiology') },
      )
    }
    if (number === 24) {
      addPanel(chart, visit, panels.glucoseOneHour, [[labs.glucoseOneHour, 118]])
      addDepressionScreening(chart, visit, [1, 0])
      addFoodScreening(chart, visit, false)
    }
    if (number === 28) {
      addImmunization(chart, visit, vaccines.tdap)
      addPanel(chart, visit, panels.bloodCount, bloodCountResults(random, 11.9))
      const goal = addGoal(chart, visit, 'A healthy birth at term, and breastfeeding', '2026-07-25')
      addCarePlan(
        chart,
        visit,
        'Pregnancy without complications. Visits every two weeks to 36 weeks, then every week. Birth planned at Lakeview Hospital.',
        pregnancy ? [pregnancy] : [],
        [goal],
      )
      addObservation(chart, visit, {
        category: 'care-experience-preference',
        system: systems.usCoreCategory,
        code: loinc('95541-9', 'Care experience preference [Reported]'),
        value: {
          valueString: 'Would like her husband with her at the birth, and to be spoken to in Spanish.',
        },
        profile: 'care-experience-preference',
      })
    }
  }
  addCareTeam(chart, week(8) + 3_600_000, ['grace-adeyemi', 'ruth-feldman'])
  return chart.finish()
}
