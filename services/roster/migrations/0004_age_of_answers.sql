-- Old answers are looked for by their age, whoever's they are.
CREATE INDEX roster_answers_made_at ON roster_answers (made_at);
