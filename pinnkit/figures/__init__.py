"""What a person looks at: pictures of solutions, trainings and diagnoses, and the tables of the terminal."""
