-- What whoever drew a picture said of it. JSON: revised_prompt, usage; null: nothing.
ALTER TABLE pictures ADD COLUMN details TEXT;
